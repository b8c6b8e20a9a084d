//! The doors: bytes from outside in, readings out to the [`Intake`](crate::Intake).
//!
//! Each door is a file. A door refuses early and politely when there is no room, and says ok only
//! when what it took is on the device.

mod body;
mod client;
mod connections;
pub mod files;
mod handshakes;
mod linger;
mod otlp;
pub mod otlp_grpc;
pub mod otlp_http;
pub mod page;
mod parts;
pub mod senders;
pub mod serve;
pub mod tls;
pub mod upload;
pub mod webhook;

pub use connections::Limits;
pub use otlp::OtlpSettings;

pub use tls::{DoorTls, TlsError, TlsSettings};
