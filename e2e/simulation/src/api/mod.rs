//! A Kubernetes API in memory, behind the HTTP interface that `kube::Client` uses.
//!
//! It behaves as the API server does wherever the operator can tell the difference; `tests/conformance.rs` plays one
//! script on both and compares. It knows no schemas: what an API server would refuse for its shape is taken here.

mod change;
mod immutable;
mod interceptor;
mod object;
mod request;
mod resources;
mod selector;
mod server;
mod state;
mod status;
mod store;
mod watch;

pub use change::{Change, ChangeType, Deletion, Key};
pub use interceptor::{Effect, Handling, Interceptor, Reply};
pub(crate) use object::seconds;
pub use request::{Request, Verb};
pub use resources::{RESOURCES, Resource, by_kind};
pub use selector::Selector;
pub use state::{Api, Changes};
pub use status::Refusal;
pub use store::Store;
