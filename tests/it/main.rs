//! One binary for everything that needs more than one stage.

mod architecture;
mod judgements;
mod recordings;
mod story;
mod tidy;
