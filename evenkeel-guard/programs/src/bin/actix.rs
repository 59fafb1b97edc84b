//! An actix-web service. Its handlers are not `Send`, and each of its threads is a runtime of its own.
//!
//! `cargo run --release --bin actix`
//!
//! So two forms fit. A middleware names every route with [`Guard::named`]: what blocks is reported with route and line,
//! and holds up what else is on that thread, for no thread of actix can be replaced. And a handler whose work is `Send`
//! hands it to [`Executor::run`]: there the others go on.

use std::io;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer, error::ErrorInternalServerError};
use evenkeel_guard::{Executor, Guard, Label};
use tokio::runtime::{Builder, Runtime};

#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opens: Condvar,
}

/// The same mistake twice. Here on actix's own thread.
async fn nap(id: Path<u32>) -> String {
    std::thread::sleep(Duration::from_millis(20)); // slept here
    format!("slept for {id}\n")
}

/// And here on the executor's.
async fn hold(executor: Data<Executor>, gate: Data<Gate>) -> actix_web::Result<&'static str> {
    let waits = async move {
        let closed = gate.is_open.lock().expect("no holder panics");
        drop(gate.opens.wait_while(closed, |is_open| !*is_open)); // held here
        "held\n"
    };
    executor.run(Label::new("GET /hold"), waits).await.map_err(ErrorInternalServerError)
}

async fn release(gate: Data<Gate>) -> &'static str {
    *gate.is_open.lock().expect("no holder panics") = true;
    gate.opens.notify_all();
    "released\n"
}

async fn length(body: Bytes) -> String {
    format!("{}\n", body.len())
}

/// Names what is behind it after method and pattern: both are bounded by the routes.
async fn named(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> actix_web::Result<ServiceResponse<impl MessageBody>> {
    let pattern = request.match_pattern();
    let label = match &pattern {
        Some(pattern) => Label::new(format!("{} {pattern}", request.method())),
        None => Label::new("not found"),
    };
    let guard = request.app_data::<Data<Guard>>().expect("the app has it").clone();
    guard.named(&label, next.call(request)).await
}

async fn serve(executor: Executor, guard: Guard) -> io::Result<()> {
    let (executor, guard, gate) = (Data::new(executor), Data::new(guard), Data::new(Gate::default()));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(Data::clone(&executor))
            .app_data(Data::clone(&guard))
            .app_data(Data::clone(&gate))
            .wrap(from_fn(named))
            .route("/ping", web::get().to(async || "pong\n"))
            .route("/nap/{id}", web::get().to(nap))
            .route("/hold", web::get().to(hold))
            .route("/release", web::post().to(release))
            .route("/length", web::post().to(length))
            .default_service(web::to(async || HttpResponse::NotFound().body("nothing here\n")))
    });
    let server = server.workers(2).bind(("127.0.0.1", 0))?;
    println!("http://{}", server.addrs()[0]);
    server.run().await
}

fn main() -> io::Result<()> {
    tracing_subscriber::fmt().with_ansi(false).with_writer(std::io::stderr).init();
    // Timers and sockets of what runs on the executor.
    let runtime = Runtime::new()?;
    let executor = Executor::threads(runtime.handle().clone(), 2);
    // The main thread's runtime is watched; those of the others are not ours to build, and `named` needs no more.
    let mut builder = Builder::new_current_thread();
    let guard = evenkeel_guard::watch(builder.enable_all());
    let system =
        actix_web::rt::System::with_tokio_rt(move || builder.build().expect("the system has threads"));
    system.block_on(serve(executor, guard))
}
