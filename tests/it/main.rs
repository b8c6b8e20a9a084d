//! One binary for everything that needs more than one stage.

mod alone;
mod annotated;
mod architecture;
mod attestation;
mod books;
mod cli;
mod clouds;
mod configured;
mod contract;
mod crash;
mod formats;
mod guides;
mod judgements;
mod lost_permissions;
mod meshes;
mod program;
mod quiet;
mod readers;
mod recordings;
mod reload;
mod scenarios;
mod serve;
mod silenced;
mod story;
mod tidy;
mod variants;
