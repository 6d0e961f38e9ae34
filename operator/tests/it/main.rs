//! The program as an operator runs it, against folders of templates and a double of SES; and `run`,
//! with halves that are shell scripts.

mod build;
mod deliveries;
mod doctor;
mod golang_migrate;
mod key;
mod lint;
mod manual;
mod migrate;
mod monitoring;
mod plans;
mod preview;
mod pull;
mod purge;
mod push;
mod run;
mod serve;
mod serve_faults;
mod status;
mod support;
mod token;
mod world;
