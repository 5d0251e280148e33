//! Who a person is, and how two of them prove it to each other.

mod link;

pub use link::Link;
