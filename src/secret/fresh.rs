//! Values with secrets in them that are made anew for each use, since secrets may change while we run.

use std::fmt;
use std::sync::Arc;

/// Makes a value from the secrets as they are now. Cheap to clone.
pub struct Fresh<T>(Arc<dyn Fn() -> T + Send + Sync>);

impl<T> Fresh<T> {
    /// Calls `make` for each use.
    pub fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// The value as it is now.
    pub fn now(&self) -> T {
        (self.0)()
    }
}

impl<T> Clone for Fresh<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Shows nothing: the value holds secrets.
impl<T> fmt::Debug for Fresh<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").finish_non_exhaustive()
    }
}
