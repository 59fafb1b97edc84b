//! Databases, embedded and over a connection.

use std::sync::OnceLock;

use evenkeel_guard::Class::{Compute, Contention, File, Join, Lookup, Network, Wait};

use crate::database_server;
use crate::row::{Row, blocks, harmless, here, scratch};

const TABLE: &str = "CREATE TABLE cat (name TEXT); INSERT INTO cat VALUES ('Tom')";

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = embedded_rows();
    rows.extend(client_rows());
    rows.extend(harmless_rows());
    rows
}

fn embedded_rows() -> Vec<Row> {
    vec![
        blocks("rusqlite", "a file", File, || async {
            let connection = here!(rusqlite::Connection::open(scratch("sqlite"))).unwrap();
            here!(connection.execute_batch(TABLE)).unwrap();
            let name: String =
                here!(connection.query_row("SELECT name FROM cat", [], |row| row.get(0))).unwrap();
            here!(drop(connection));
            name
        }),
        blocks("rusqlite", "a database that is locked", File, || {
            let path = scratch("locked");
            let holder = rusqlite::Connection::open(&path).unwrap();
            holder.execute_batch(TABLE).unwrap();
            holder.execute_batch("BEGIN IMMEDIATE; INSERT INTO cat VALUES ('Tim')").unwrap();
            let waiter = rusqlite::Connection::open(&path).unwrap();
            waiter.busy_timeout(std::time::Duration::from_millis(20)).unwrap();
            async move {
                let is_busy = here!(waiter.execute_batch("INSERT INTO cat VALUES ('Ted')")).is_err();
                here!(drop(holder));
                here!(drop(waiter));
                is_busy
            }
        })
        .beside(&[evenkeel_guard::Class::Sleep]),
        blocks("redb", "a file", File, || async {
            const TABLE: redb::TableDefinition<'_, u32, u32> = redb::TableDefinition::new("numbers");
            // A file of a few pages; what it takes of the processor is little between two waits.
            let database = {
                let mut options = redb::Builder::new();
                here!(options.set_cache_size(1 << 20).create(scratch("redb"))).unwrap()
            };
            tokio::task::yield_now().await;
            let write = here!(database.begin_write()).unwrap();
            let mut table = here!(write.open_table(TABLE)).unwrap();
            here!(table.insert(1, 7)).unwrap();
            here!(drop(table));
            here!(write.commit()).unwrap();
            tokio::task::yield_now().await;
            here!(drop(database));
        })
        .beside(&[Compute]),
        blocks("r2d2", "a pool that is empty", Wait, || {
            let pool =
                r2d2::Pool::builder().max_size(1).connection_timeout(std::time::Duration::from_millis(20));
            let pool = pool.build(Nothing).unwrap();
            let taken = pool.get().unwrap();
            async move {
                let is_empty = here!(pool.get()).is_err();
                here!(drop(taken));
                here!(drop(pool));
                is_empty
            }
        })
        .beside(&[Join, Contention]),
    ]
}

/// Connections to nothing, for the pool alone.
struct Nothing;

impl r2d2::ManageConnection for Nothing {
    type Connection = ();
    type Error = std::io::Error;

    fn connect(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    fn is_valid(&self, (): &mut ()) -> Result<(), Self::Error> {
        Ok(())
    }

    fn has_broken(&self, (): &mut ()) -> bool {
        false
    }
}

impl deadpool::managed::Manager for Nothing {
    type Type = ();
    type Error = std::io::Error;

    async fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn recycle(
        &self,
        (): &mut (),
        _: &deadpool::managed::Metrics,
    ) -> deadpool::managed::RecycleResult<Self::Error> {
        Ok(())
    }
}

fn client_rows() -> Vec<Row> {
    vec![
        blocks("redis", "a query", Network, || async {
            let client = redis::Client::open(format!("redis://{}/", database_server::redis())).unwrap();
            let mut connection = here!(client.get_connection()).unwrap();
            let answer = here!(redis::cmd("GET").arg("key").query::<String>(&mut connection)).unwrap();
            answer
        })
        .beside(&[Lookup]),
        blocks("postgres", "a query", Wait, || async {
            let mut client = here!(postgres::Client::connect(&postgres_at(), postgres::NoTls)).unwrap();
            let rows = here!(client.simple_query("SELECT 'hello, slowly'")).unwrap();
            here!(drop(client));
            rows.len()
        })
        .beside(&[Network, Lookup])
        .outside_tokio(),
        blocks("mysql", "a port on which nobody listens", Network, || {
            let options = mysql::OptsBuilder::new().ip_or_hostname(Some("127.0.0.1")).prefer_socket(false);
            let options = options.tcp_port(database_server::refused()).tcp_connect_timeout(None);
            async move { here!(mysql::Conn::new(options)).is_err() }
        })
        .beside(&[Lookup, File]),
    ]
}

fn postgres_at() -> String {
    let address = database_server::postgres();
    format!("host={} port={} user=tom dbname=cats", address.ip(), address.port())
}

/// A pool as programs have it: one, for as long as they run. A connection closes its file on the thread that lets go of it.
fn sqlite() -> &'static sqlx::SqlitePool {
    static POOL: OnceLock<sqlx::SqlitePool> = OnceLock::new();
    POOL.get_or_init(|| {
        let path = scratch("sqlx");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(TABLE).unwrap();
        let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(2);
        let options = options.idle_timeout(None).max_lifetime(None).test_before_acquire(false);
        options.connect_lazy(&format!("sqlite://{}", path.display())).unwrap()
    })
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("rusqlite", "in memory", || async {
            let connection = rusqlite::Connection::open_in_memory().unwrap();
            connection.execute_batch(TABLE).unwrap();
            connection.query_row("SELECT name FROM cat", [], |row| row.get::<_, String>(0)).unwrap()
        }),
        harmless("sqlx", "SQLite, a pool", || {
            let pool = sqlite();
            async move {
                sqlx::query("INSERT INTO cat VALUES ($1)").bind("Tim").execute(pool).await.unwrap();
                sqlx::query_scalar::<_, String>("SELECT name FROM cat").fetch_one(pool).await.unwrap()
            }
        }),
        harmless("redis", "a query, multiplexed", || async {
            let client = redis::Client::open(format!("redis://{}/", database_server::redis())).unwrap();
            let mut connection = client.get_multiplexed_async_connection().await.unwrap();
            redis::cmd("GET").arg("key").query_async::<String>(&mut connection).await.unwrap()
        }),
        harmless("tokio-postgres", "a query", || async {
            let (client, connection) =
                tokio_postgres::connect(&postgres_at(), tokio_postgres::NoTls).await.unwrap();
            let task = tokio::spawn(connection);
            let rows = client.simple_query("SELECT 'hello'").await.unwrap().len();
            drop(client);
            // The server goes away without a word, which is an error to some.
            let _ended = task.await.unwrap();
            rows
        }),
        harmless("deadpool", "a pool", || {
            let pool = deadpool::managed::Pool::<Nothing>::builder(Nothing).max_size(1).build().unwrap();
            async move {
                for _ in 0..20 {
                    let _connection = pool.get().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }),
    ]
}
