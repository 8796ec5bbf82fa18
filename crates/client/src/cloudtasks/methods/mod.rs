//! What the client can be asked, by what it is about.

mod attempts;
mod iam;
mod leases;
mod places;
mod queues;
mod tasks;
