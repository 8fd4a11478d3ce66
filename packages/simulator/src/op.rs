//! Every call that a role makes, by name.

/// A service that can be slow, fail or be unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Service {
    /// The ledger.
    Ledger,
    /// The queue.
    Queue,
    /// The media store.
    Store,
}

impl Service {
    /// Every service.
    pub const ALL: [Service; 3] = [Service::Ledger, Service::Queue, Service::Store];

    /// The name in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Service::Ledger => "ledger",
            Service::Queue => "queue",
            Service::Store => "store",
        }
    }
}

macro_rules! ops {
    ($($name:ident, $text:literal, $service:ident, $writes:literal;)*) => {
        /// A call of a port.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "each is the call of that name")]
        pub enum Op { $($name),* }

        impl Op {
            /// Every call.
            pub const ALL: &[Op] = &[$(Op::$name),*];

            /// The name in logs and tables.
            pub fn as_str(self) -> &'static str {
                match self { $(Op::$name => $text),* }
            }

            /// The service that answers it.
            pub fn service(self) -> Service {
                match self { $(Op::$name => Service::$service),* }
            }

            /// Whether it changes anything.
            pub fn writes(self) -> bool {
                match self { $(Op::$name => $writes),* }
            }
        }
    };
}

ops! {
    CreateJob, "create_job", Ledger, true;
    Job, "job", Ledger, false;
    OpenJobs, "open_jobs", Ledger, false;
    Seal, "seal", Ledger, true;
    Assemble, "assemble", Ledger, true;
    Commit, "commit", Ledger, true;
    Complete, "complete", Ledger, true;
    Fail, "fail", Ledger, true;
    Cancel, "cancel", Ledger, true;
    CancelOutput, "cancel_output", Ledger, true;
    Retry, "retry", Ledger, true;
    Add, "add", Ledger, true;
    MarkDeleting, "mark_deleting", Ledger, true;
    DeleteJob, "delete_job", Ledger, true;
    Tombstones, "tombstones", Ledger, false;
    Record, "record", Ledger, true;
    Completed, "completed", Ledger, false;
    Completion, "completion", Ledger, false;
    Completions, "completions", Ledger, false;
    CountFailure, "count_failure", Ledger, true;
    Failures, "failures", Ledger, false;
    LeasedTasks, "leased_tasks", Ledger, false;
    Acquire, "acquire", Ledger, true;
    Renew, "renew", Ledger, true;
    Release, "release", Ledger, true;
    Send, "send", Queue, true;
    Receive, "receive", Queue, true;
    Extend, "extend", Queue, true;
    Ack, "ack", Queue, true;
    DeadLetter, "dead_letter", Queue, true;
    Depth, "depth", Queue, false;
    PutBytes, "put_bytes", Store, true;
    Upload, "upload", Store, true;
    Promote, "promote", Store, true;
    GetBytes, "get_bytes", Store, false;
    GetFile, "get_file", Store, false;
    Head, "head", Store, false;
    List, "list", Store, false;
    Delete, "delete", Store, true;
    PutDocument, "put_document", Store, true;
    GetDocument, "get_document", Store, false;
}
