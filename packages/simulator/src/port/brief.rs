//! Results as short texts, for the log.

use std::fmt::Write as _;
use std::path::PathBuf;

use bytes::Bytes;
use segue_domain::{Completion, JobRecord, TaskId};
use segue_ports::{
    Acquired, CreatedJob, Document, DocumentWrite, JobPage, ObjectInfo, ObjectPage, PortError, QueueDepth,
    Recorded, TombstonePage,
};

use crate::model::state_of;
use crate::world::State;

/// A short text for the log.
pub trait Brief {
    /// Appends the text.
    fn brief(&self, out: &mut String);
}

/// Adds the line of a call that took effect.
pub fn line<T: Brief>(
    state: &mut State,
    who: &str,
    op: &str,
    what: &str,
    answer: &Result<T, PortError>,
    note: &str,
) {
    state.line(who, format_args!("{op} {what} ="));
    state.log.pop();
    state.log.push(' ');
    match answer {
        Ok(answer) => answer.brief(&mut state.log),
        Err(error) => {
            let _ = write!(state.log, "error: {error}");
        }
    }
    if !note.is_empty() {
        let _ = write!(state.log, " # {note}");
    }
    state.log.push('\n');
}

macro_rules! brief {
    ($($kind:ty, |$it:ident, $out:ident| $does:expr;)*) => {
        $(impl Brief for $kind {
            fn brief(&self, $out: &mut String) {
                let $it = self;
                let _ = $does;
            }
        })*
    };
}

brief! {
    (), |_it, out| out.push_str("ok");
    bool, |it, out| out.push_str(if *it { "yes" } else { "no" });
    u32, |it, out| write!(out, "{it}");
    QueueDepth, |it, out| write!(out, "{} waiting", it.waiting);
    Recorded, |it, out| out.push_str(match it {
        Recorded::Created => "created",
        Recorded::Existed => "existed",
        Recorded::Stale => "stale",
    });
    Acquired, |it, out| match it {
        Acquired::Held(lease) => write!(out, "term {}", lease.term),
        Acquired::Busy(left) => write!(out, "busy {} ms", left.as_millis()),
    };
    u64, |it, out| write!(out, "{it}");
    JobRecord, |it, out| {
        let _ = write!(out, "{}:", state_of(it));
        for output in &it.outputs {
            let _ = write!(out, " {} {}", output.asked.id, output.state);
        }
        Ok::<(), std::fmt::Error>(())
    };
    CreatedJob, |it, out| {
        out.push_str(if it.created { "new " } else { "known " });
        it.job.brief(out);
    };
    DocumentWrite, |it, out| out.push_str(match it {
        DocumentWrite::Written(_) => "written",
        DocumentWrite::Conflict => "conflict",
    });
    Document, |it, out| write!(out, "{} bytes", it.bytes.len());
    JobPage, |it, out| write!(out, "{} jobs", it.jobs.len());
    TombstonePage, |it, out| write!(out, "{} tombstones", it.tombstones.len());
    Vec<TaskId>, |it, out| write!(out, "{} tasks", it.len());
    Completion, |it, out| write!(out, "of term {}", it.term);
    Vec<Completion>, |it, out| write!(out, "{} completions", it.len());
    Bytes, |it, out| write!(out, "{} bytes", it.len());
    PathBuf, |_it, out| out.push_str("a file");
    ObjectInfo, |it, out| write!(out, "{} bytes", it.bytes);
    ObjectPage, |it, out| write!(out, "{} objects", it.objects.len());
}

impl<T: Brief> Brief for Option<T> {
    fn brief(&self, out: &mut String) {
        match self {
            Some(it) => it.brief(out),
            None => out.push_str("none"),
        }
    }
}
