//! Past calls.

use std::time::Duration;

use rusqlite::{Connection, Row};
use serde_json::json;

use super::contacts::suggested_name;
use super::{HistoryEntry, Member, StoreError, limits};
use crate::base::{CallId, EndReason, Person};

pub(super) fn add(db: &mut Connection, entry: &HistoryEntry) -> Result<(), StoreError> {
    let change = db.transaction()?;
    change.execute(
        "INSERT OR REPLACE INTO history (call, person, name, outgoing, started_unix_s, talked_ms, reason, members)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            entry.call.as_bytes(),
            entry.person.as_bytes(),
            entry.name.as_deref().and_then(suggested_name),
            entry.outgoing,
            entry.started_unix_s,
            i64::try_from(entry.talked.as_millis()).unwrap_or(i64::MAX),
            word_of(entry.reason),
            members_text(&entry.members),
        ),
    )?;
    change.execute(
        "DELETE FROM history WHERE id IN
             (SELECT id FROM history ORDER BY started_unix_s DESC, id DESC LIMIT -1 OFFSET ?1)",
        [limits::HISTORY],
    )?;
    change.commit()?;
    Ok(())
}

pub(super) fn list(db: &Connection, limit: u32) -> Result<Vec<HistoryEntry>, StoreError> {
    let mut statement = db.prepare_cached(
        "SELECT call, person, name, outgoing, started_unix_s, talked_ms, reason, members
         FROM history ORDER BY started_unix_s DESC, id DESC LIMIT ?1",
    )?;
    statement.query_and_then([limit], read)?.collect()
}

pub(super) fn clear(db: &Connection) -> Result<(), StoreError> {
    db.execute("DELETE FROM history", [])?;
    Ok(())
}

fn read(row: &Row<'_>) -> Result<HistoryEntry, StoreError> {
    let talked_ms: i64 = row.get(5)?;
    let reason: String = row.get(6)?;
    let members: String = row.get(7)?;
    Ok(HistoryEntry {
        call: CallId::from_bytes(row.get(0)?),
        person: Person::from_bytes(row.get(1)?),
        name: row.get(2)?,
        outgoing: row.get(3)?,
        started_unix_s: row.get(4)?,
        talked: Duration::from_millis(talked_ms.unsigned_abs()),
        reason: reason_of(&reason).ok_or_else(|| StoreError::Damaged { why: format!("end reason {reason:?}") })?,
        members: members_of(&members)?,
    })
}

fn members_text(members: &[Member]) -> String {
    let pair = |member: &Member| (member.person.to_string(), member.name.as_deref().and_then(suggested_name));
    let members: Vec<_> = members.iter().take(limits::MEMBERS).map(pair).collect();
    serde_json::Value::from(members.into_iter().map(|(key, name)| json!([key, name])).collect::<Vec<_>>()).to_string()
}

fn members_of(text: &str) -> Result<Vec<Member>, StoreError> {
    let damaged = || StoreError::Damaged { why: format!("members {text:?}") };
    let pairs: Vec<(String, Option<String>)> = serde_json::from_str(text).map_err(|_| damaged())?;
    pairs.into_iter().map(|(key, name)| Ok(Member { person: key.parse().map_err(|_| damaged())?, name })).collect()
}

/// The words of the command line's `ended` event; part of the file format.
pub(super) const fn word_of(reason: EndReason) -> &'static str {
    match reason {
        EndReason::HangUp => "hangup",
        EndReason::RemoteHangUp => "remote_hangup",
        EndReason::TimeLimit => "time_limit",
        EndReason::Declined => "declined",
        EndReason::Busy => "busy",
        EndReason::NoAnswer => "no_answer",
        EndReason::Cancelled => "cancelled",
        EndReason::NotFound => "not_found",
        EndReason::Unreachable => "unreachable",
        EndReason::ConnectionLost => "connection_lost",
        EndReason::FingerprintMismatch => "fingerprint_mismatch",
        EndReason::Device => "device",
        EndReason::Shutdown => "shutdown",
    }
}

pub(super) const REASONS: [EndReason; 13] = [
    EndReason::HangUp,
    EndReason::RemoteHangUp,
    EndReason::TimeLimit,
    EndReason::Declined,
    EndReason::Busy,
    EndReason::NoAnswer,
    EndReason::Cancelled,
    EndReason::NotFound,
    EndReason::Unreachable,
    EndReason::ConnectionLost,
    EndReason::FingerprintMismatch,
    EndReason::Device,
    EndReason::Shutdown,
];

fn reason_of(word: &str) -> Option<EndReason> {
    REASONS.into_iter().find(|&reason| word_of(reason) == word)
}
