//! Maps that requests look things up in.

use std::collections::HashMap;

/// With a quick hash. Callers choose what is looked up, never what is put in: no flood of collisions can be made.
pub type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
