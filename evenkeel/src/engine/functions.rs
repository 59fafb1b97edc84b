//! Which functions a bot has for jobs, also under the names that they had in earlier versions of it.

use std::collections::{HashMap, HashSet};

/// See the module. Names are those of the compiler: `my_bot::ring`.
#[derive(Clone, Debug, Default)]
pub(crate) struct JobFunctions {
    names: HashSet<&'static str>,
    /// Present names by former ones.
    former: HashMap<String, &'static str>,
}

impl JobFunctions {
    pub(crate) fn new(names: HashSet<&'static str>) -> Self {
        Self { names, former: HashMap::new() }
    }

    /// Whether there is a function of this name today.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Lets a function be found under a name that it had before.
    pub(crate) fn add_former(&mut self, former: String, present: &'static str) {
        self.former.insert(former, present);
    }

    /// The present name of the function that was once kept under this one; `None` where the bot has it no more. What has the name
    /// today goes before what had it once.
    pub(crate) fn present(&self, name: &str) -> Option<&'static str> {
        self.names.get(name).or_else(|| self.former.get(name)).copied()
    }
}
