//! The pod's volumes, as the agent's containers see them.

pub(crate) mod beneath;
pub(crate) mod private;
pub(crate) mod volume;
