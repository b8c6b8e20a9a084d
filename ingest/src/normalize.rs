//! What all readers do alike: which time is believed, which address is the sender's, which activity
//! a verb is.

use std::net::IpAddr;

use durward_schemas::Time;
use durward_schemas::address::spelled;
use durward_schemas::time::DAY;

use crate::network::Network;

/// A claimed time and what is believed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Timed {
    /// The time to use.
    pub(crate) time: Time,
    /// The time that enters ids: the claim, since it is the same by every door and at every try.
    pub(crate) for_ids: Time,
    /// Whether the claim is not believed.
    pub(crate) is_suspect: bool,
    /// The claim, kept where it is not believed.
    pub(crate) claimed: Option<String>,
}

/// Believes a time between 2000 and a day after it was received (DESIGN decision 11).
pub(crate) fn believe(claim: Option<&str>, received: Time) -> Timed {
    let parsed = claim.and_then(Time::parse);
    believe_parsed(parsed, || claim.map(str::to_owned), received)
}

/// As [`believe`], for sources whose times are numbers.
pub(crate) fn believe_time(claim: Time, received: Time) -> Timed {
    believe_parsed(Some(claim), || Some(claim.to_string()), received)
}

fn believe_parsed(
    parsed: Option<Time>,
    claim: impl FnOnce() -> Option<String>,
    received: Time,
) -> Timed {
    let believed = Time::EARLIEST_BELIEVED..=received.plus(DAY);
    let for_ids = parsed.unwrap_or_default();
    match parsed {
        Some(time) if believed.contains(&time) => {
            Timed { time, for_ids, is_suspect: false, claimed: None }
        }
        _ => Timed { time: received, for_ids, is_suspect: true, claimed: claim() },
    }
}

/// The address to hold the sender to, and the others, in their order.
///
/// The last address is the one that the server saw, the others are claims; a trusted proxy is not
/// the sender, so the last address that is none counts.
/// <https://github.com/kubernetes/apiserver/blob/master/pkg/apis/audit/v1/types.go>, `SourceIPs`
pub(crate) fn sender(addresses: &[String], trusted: &[Network]) -> (Option<String>, Vec<String>) {
    let addresses: Vec<String> = addresses.iter().map(|address| spelled(address)).collect();
    let is_trusted = |address: &String| {
        let address = address.parse::<IpAddr>();
        address.is_ok_and(|address| trusted.iter().any(|network| network.contains(address)))
    };
    let last = addresses.len().checked_sub(1);
    let Some(index) = addresses.iter().rposition(|address| !is_trusted(address)).or(last) else {
        return (None, Vec::new());
    };
    let others = addresses.iter().enumerate().filter(|(other, _)| *other != index);
    let others = others.map(|(_, address)| address.clone()).collect();
    (addresses.get(index).cloned(), others)
}

/// OCSF API Activity: 1 create, 2 read, 3 update, 4 delete, 99 other.
/// <https://schema.ocsf.io/1.8.0/classes/api_activity>
pub(crate) fn activity(verb: &str) -> i64 {
    match verb {
        "create" | "post" => 1,
        "get" | "list" | "watch" | "head" | "options" => 2,
        "update" | "patch" | "put" => 3,
        "delete" | "deletecollection" => 4,
        _ => 99,
    }
}

/// The activity of a cloud's operation, by the first word after the last separator
/// (`v1.compute.instances.insert`, `DescribeInstances`, `Microsoft.Storage/storageAccounts/write`,
/// `Add member to role completed`).
pub(crate) fn activity_of(operation: &str) -> i64 {
    let last = operation.rsplit(['.', '/', ':']).next().unwrap_or_default();
    let last = last.split(' ').next().unwrap_or_default();
    let is_upper = |c: char| c.is_ascii_uppercase();
    // `listKeys`, `SetIamPolicy` and `DELETE`: a word ends where the case rises after small letters.
    let end = last.char_indices().zip(last.chars().skip(1));
    let end = end.filter(|((_, c), next)| !is_upper(*c) && is_upper(*next)).map(|((at, _), _)| at);
    let word = end.min().and_then(|at| last.get(..=at)).unwrap_or(last).to_ascii_lowercase();
    let verb = match word.as_str() {
        "add" | "insert" | "generate" | "invite" | "issue" | "register" | "run" => "create",
        "aggregated" | "batchget" | "check" | "describe" | "download" | "lookup" | "query"
        | "read" | "search" | "select" => "get",
        "attach" | "assign" | "disable" | "enable" | "modify" | "set" | "write" => "update",
        "detach" | "deregister" | "purge" | "remove" | "revoke" | "terminate" => "delete",
        word => word,
    };
    activity(verb)
}

/// OCSF class API Activity.
pub(crate) const API_ACTIVITY: i64 = 6003;
/// OCSF class Authentication: tokens and certificates minted, logins.
pub(crate) const AUTHENTICATION: i64 = 3002;
/// OCSF class Network Activity.
pub(crate) const NETWORK_ACTIVITY: i64 = 4001;
/// OCSF class HTTP Activity.
pub(crate) const HTTP_ACTIVITY: i64 = 4002;
/// OCSF class DNS Activity.
pub(crate) const DNS_ACTIVITY: i64 = 4003;
/// The activity Traffic of Network Activity and of DNS Activity.
pub(crate) const TRAFFIC: i64 = 6;

/// OCSF HTTP Activity: <https://schema.ocsf.io/1.8.0/classes/http_activity>
pub(crate) fn http_activity(method: &str) -> i64 {
    const METHODS: &[&str] =
        &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "TRACE", "PATCH"];
    let known = METHODS.iter().zip(1..).find(|(known, _)| known.eq_ignore_ascii_case(method));
    known.map_or(99, |(_, activity)| activity)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: times at and beyond the edges of belief, broken ones, none.
    /// Guarantees: what is not believed becomes the time of receipt, flagged, with the claim kept.
    #[test]
    fn only_sane_times_are_believed() {
        let received = Time::parse("2026-11-23T18:00:00Z").unwrap();
        let check = |claim: Option<&str>, suspect: bool| {
            let timed = believe(claim, received);
            assert_eq!(timed.is_suspect, suspect, "{claim:?}");
            assert_eq!(timed.claimed.as_deref(), claim.filter(|_| suspect));
            assert_eq!(timed.time == received, suspect, "{claim:?}");
        };
        check(Some("2026-11-23T17:56:57.403991Z"), false);
        check(Some("2000-01-01T00:00:00Z"), false);
        check(Some("2026-11-24T18:00:00Z"), false);
        check(Some("2026-11-24T18:00:01Z"), true);
        check(Some("1970-01-01T00:00:00Z"), true);
        check(Some("2262-04-11T23:47:16Z"), true);
        check(Some("yesterday"), true);
        check(None, true);
    }

    /// Scenario: operations of three clouds.
    /// Guarantees: each is create (1), read (2), update (3), delete (4) or something else (99).
    #[test]
    fn operations_are_activities() {
        let check = |operation: &str, expect: i64| {
            assert_eq!(activity_of(operation), expect, "{operation}");
        };
        check("CreateAccessKey", 1);
        check("v1.compute.instances.insert", 1);
        check("DescribeInstances", 2);
        check("storage.objects.get", 2);
        check("GetCallerIdentity", 2);
        check("google.iam.admin.v1.SetIAMPolicy", 3);
        check("PutRolePolicy", 3);
        check("Microsoft.Storage/storageAccounts/write", 3);
        check("MICROSOFT.AUTHORIZATION/LOCKS/DELETE", 4);
        check("TerminateInstances", 4);
        check("Add member to role requested (PIM activation)", 1);
        check("beta.compute.machineTypes.aggregatedList", 2);
        check("AssumeRole", 99);
        check("Microsoft.Storage/storageAccounts/listkeys/action", 99);
        check("", 99);
    }

    /// Scenario: forged forwarding headers, with and without proxies that are trusted.
    /// Guarantees: no client can choose the address it is held to.
    #[test]
    fn sender_is_what_the_server_saw() {
        let check =
            |addresses: &[&str], trusted: &[&str], expect: Option<&str>, others: &[&str]| {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                let trusted: Vec<Network> =
                    trusted.iter().map(|text| text.parse().unwrap()).collect();
                let (sender, rest) = sender(&addresses, &trusted);
                assert_eq!(
                    (sender.as_deref(), rest),
                    (expect, others.iter().map(ToString::to_string).collect())
                );
            };
        check(&[], &[], None, &[]);
        check(&["10.0.0.1"], &[], Some("10.0.0.1"), &[]);
        check(&["127.20.0.6", "127.66.217.205"], &[], Some("127.66.217.205"), &["127.20.0.6"]);
        check(
            &["1.1.1.1", "2.2.2.2", "10.0.0.9"],
            &["10.0.0.0/8"],
            Some("2.2.2.2"),
            &["1.1.1.1", "10.0.0.9"],
        );
        check(&["10.0.0.1", "10.0.0.2"], &["10.0.0.0/8"], Some("10.0.0.2"), &["10.0.0.1"]);
    }
}
