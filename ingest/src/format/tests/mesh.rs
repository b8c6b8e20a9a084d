//! The tables of the mesh formats say what their readers do: each field of full records is changed,
//! and the columns that change with it are those whose lines name it.

use std::collections::{BTreeMap, BTreeSet};

use durward_schemas::table::Row as _;
use durward_schemas::tables::Access;
use serde_json::Value;

use super::super::{Format, read};
use crate::lab::with_context;

/// A record with every field that its format's table names, and words that change what it means.
pub(super) struct Sample {
    pub(super) format: Format,
    pub(super) record: &'static str,
    words: &'static [&'static str],
}

pub(super) const SAMPLES: &[Sample] = &[
    Sample {
        format: Format::Envoy,
        record: r#"{"start_time":"2026-07-23T09:00:05Z","method":"GET","path":"/a","response_code":200,
            "response_flags":"DC","response_code_details":"via_upstream","connection_termination_details":"x",
            "access_log_type":"DownstreamEnd","duration":3,"downstream_peer_uri_san":"spiffe://shop.test/ns/web/sa/frontend",
            "downstream_local_uri_san":"spiffe://shop.test/ns/shop/sa/orders","downstream_peer_serial":"0a",
            "downstream_peer_fingerprint_256":"ab","x_forwarded_for":"192.0.2.1","downstream_remote_address":"10.0.0.7:1",
            "user_agent":"curl","x_request_id":"7","traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "upstream_cluster":"outbound|80||orders.shop.svc.cluster.local","upstream_host":"10.0.0.9:80","route_name":"default",
            "requested_server_name":"outbound_.80_._.a.b.svc.cluster.local","authority":"orders",
            "rbac_metadata":{"enforced_engine_result":"allowed","enforced_effective_policy_id":"p"}}"#,
        words: &[
            "-",
            "rbac_access_denied_matched_policy[ns[a]-policy[b]-rule[0]]",
            "jwt_authn_access_denied{x}",
            "TLS_error:x",
            "spiffe://b.test/ns/x/sa/y",
            "not a name",
            "denied",
            "inbound|80||",
        ],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"start_time":"2026-07-23T09:00:05Z","method":"GET","downstream_transport_failure_reason":"TLS_error:x",
            "upstream_transport_failure_reason":"TLS_error:y","upstream_peer_uri_san":"spiffe://shop.test/ns/shop/sa/orders",
            "upstream_local_uri_san":"spiffe://shop.test/ns/web/sa/frontend","downstream_remote_address":"10.0.0.7:1","response_flags":"UF"}"#,
        words: &["-", "spiffe://b.test/x"],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"time":"2026-07-23T09:00:05Z","scope":"access","src.addr":"10.0.0.7:1","dst.service":"a.b.svc",
            "src.workload":"frontend-1","src.namespace":"web",
            "src.identity":"spiffe://shop.test/ns/web/sa/frontend","dst.identity":"spiffe://shop.test/ns/shop/sa/orders",
            "duration":"3ms","error":"connection closed due to policy rejection: explicitly denied by: a/b"}"#,
        words: &["-", "spiffe://b.test/x"],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"time":"2026-07-23T09:00:05Z","scope":"access","message":"connection complete","direction":"inbound",
            "src.addr":"10.0.0.7:1","dst.workload":"orders-1","dst.namespace":"shop",
            "error":"connection closed due to policy rejection: explicitly denied by: a/istio_converted_static_strict"}"#,
        words: &["connection opened", "outbound", "tls handshake error: InvalidData"],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"start_time":"2026-07-23T09:00:05Z","response_flags":"NR","upstream_cluster":"inbound|80||",
            "response_code_details":"filter_chain_not_found","requested_server_name":"-",
            "downstream_local_address":"10.0.0.9:8080","downstream_remote_address":"10.0.0.7:1"}"#,
        words: &["a.example", "10.0.0.9:8443", "-"],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"start_time":"2026-07-23T09:00:05Z","method":"POST","path":"/a.B/C","response_code":200,"grpc_status":"OK",
            "response_flags":"-","access_log_type":"DownstreamEnd","downstream_peer_subject":"CN=web","downstream_peer_serial":"0a",
            "upstream_local_uri_san":"spiffe://shop.test/ns/web/sa/frontend","downstream_remote_address":"10.0.0.7:1",
            "upstream_local_address":"10.0.0.7:2","requested_server_name":"a.example"}"#,
        words: &["16", "UAEX", "DownstreamStart", "-", "10.0.0.9:1", "CN=b"],
    },
    Sample {
        format: Format::Envoy,
        record: r#"{"start_time":"2026-07-23T09:00:05Z","response_flags":"-","source_principal":"-",
            "upstream_local_uri_san":"spiffe://shop.test/ns/web/sa/frontend","downstream_remote_address":"10.0.0.7:1",
            "upstream_local_address":"10.0.0.7:2"}"#,
        words: &["10.0.0.9:1", "UAEX"],
    },
    Sample {
        format: Format::Spire,
        record: r#"{"time":"2026-07-23T09:00:05Z","level":"info","msg":"API accessed","type":"audit","subsystem_name":"api",
            "method":"BatchNewX509SVID","service":"svid.v1.SVID","request_id":"7","status":"success","status_code":0,
            "status_message":"x","authorized_as":"agent","authorized_via":"datastore","caller_id":"spiffe://shop.test/ns/a/sa/b",
            "caller_addr":"10.0.0.7:1","caller_uid":7,"caller_gid":7,"caller_path":"/x","pid":7,"registered":true,
            "entry_id":"e","spiffe_id":"spiffe://shop.test/x","agent_id":"a","trust_domain_id":"t","local_authority_id":"l",
            "serial_num":"255","csr":"ab","jti":"j","expires_at":7,"expiration":"x","ttl":7,"selectors":"unix:uid:1"}"#,
        words: &[
            "MintJWTSVID",
            "AttestAgent",
            "Signed X509 SVID",
            "error",
            "entry.v1.Entry",
            "not authorized",
            "spiffe://b.test/x",
            "local",
        ],
    },
    Sample {
        format: Format::Spire,
        record: r#"{"time":"2026-07-23T09:00:05Z","level":"debug","msg":"PID attested to have selectors","pid":7,
            "subsystem_name":"workload_attestor","selectors":[{"type":"k8s","value":"ns:a"},{"type":"k8s","value":"sa:b"},
            {"type":"k8s","value":"pod-name:c"},{"type":"k8s","value":"pod-uid:d"},{"type":"k8s","value":"pod-uid:d"},{"type":"k8s","value":"node-name:e"}]}"#,
        words: &["Fetched"],
    },
    Sample {
        format: Format::Spire,
        record: r#"{"time":"2026-07-23T09:00:05Z","level":"debug","msg":"Fetched X.509 SVID","pid":7,"count":1,"registered":true,
            "method":"FetchX509SVID","service":"WorkloadAPI","spiffe_id":"spiffe://shop.test/ns/a/sa/b","ttl":37.1}"#,
        words: &["Fetched JWT SVID", "spiffe://b.test/x"],
    },
    Sample {
        format: Format::Spire,
        record: r#"{"time":"2026-07-23T09:00:05Z","level":"error","msg":"Failed to authenticate caller","method":"BanAgent",
            "service":"agent.v1.Agent","error":"rpc error: code = PermissionDenied desc = x"}"#,
        words: &["rpc error: code = Unauthenticated desc = x"],
    },
    Sample {
        format: Format::Spire,
        record: r#"{"time":"2026-07-23T09:00:05Z","level":"error","method":"SubscribeToX509SVIDs","service":"x",
            "msg":"Permission denied; caller not configured as an authorized delegate.","default_id":"spiffe://shop.test/ns/a/sa/b"}"#,
        words: &["spiffe://b.test/x"],
    },
    Sample {
        format: Format::Hubble,
        record: r#"{"flow":{"time":"2026-07-23T09:00:05Z","uuid":"u","verdict":"DROPPED","drop_reason_desc":"POLICY_DENIED",
            "auth_type":"SPIRE","is_reply":false,"IP":{"source":"10.0.0.7","destination":"10.0.0.9"},
            "l4":{"TCP":{"source_port":1,"destination_port":2}},"Type":"L7","trace_observation_point":"TO_ENDPOINT",
            "source":{"identity":7,"namespace":"web","cluster_name":"c","pod_name":"p","labels":["k8s:io.cilium.k8s.policy.serviceaccount=frontend"],
                "workloads":[{"name":"w","kind":"Deployment"}]},
            "destination":{"identity":8,"namespace":"shop","pod_name":"q","labels":["k8s:io.cilium.k8s.policy.serviceaccount=orders"],
                "workloads":[{"name":"v","kind":"Job"}]},
            "l7":{"type":"REQUEST","latency_ns":"5000","http":{"method":"GET","url":"/a","code":200,"headers":[
                {"key":"X-Request-Id","value":"7"},{"key":"User-Agent","value":"curl"},{"key":"X-Forwarded-For","value":"192.0.2.1"},
                {"key":"traceparent","value":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}]}},
            "trace_context":{"parent":{"trace_id":"4bf92f3577b34da6a3ce929d0e0e4737"}},"traffic_direction":"EGRESS",
            "destination_names":["n"],"destination_service":{"name":"s","namespace":"t"},
            "egress_denied_by":[{"name":"no","namespace":"web","kind":"CiliumNetworkPolicy"}],"Summary":"x"},
            "node_name":"n","time":"2026-07-23T09:00:06Z"}"#,
        words: &[
            "FORWARDED",
            "ERROR",
            "AUTH_REQUIRED",
            "x",
            "reserved:host",
            "k8s:io.cilium.k8s.policy.serviceaccount=a",
        ],
    },
    Sample {
        format: Format::Hubble,
        record: r#"{"flow":{"verdict":"FORWARDED","source":{"labels":["reserved:host"]},"destination_names":["n"],
            "l7":{"dns":{"query":"a.b","rcode":3}}}}"#,
        words: &["reserved:world"],
    },
    Sample {
        format: Format::Hubble,
        record: r#"{"flow":{"verdict":"DROPPED","drop_reason":133,"Type":"L3_L4","egress_denied_by":[{"name":"no","kind":"CiliumNetworkPolicy"}]}}"#,
        words: &["FORWARDED"],
    },
    Sample {
        format: Format::Hubble,
        record: r#"{"flow":{"verdict":"FORWARDED","l7":{"kafka":{"api_key":"produce","topic":"t","error_code":3}}}}"#,
        words: &[],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response","error":"permission denied",
            "auth":{"accessor":"a","client_token":"c","display_name":"kubernetes-n","entity_id":"e","metadata":{"service_account_name":"n",
                "service_account_namespace":"m","service_account_uid":"u"},"policy_results":{"allowed":true,"granting_policies":[{"name":"p"}]}},
            "request":{"id":"7","operation":"read","mount_type":"kv","mount_point":"secret/","path":"secret/a","client_token":"c",
                "client_token_accessor":"a","remote_address":"10.0.0.7","data":{"x":true},
                "headers":{"user-agent":["curl"],"x-forwarded-for":["192.0.2.1"]},"namespace":{"id":"root"}},
            "response":{"data":{"error":true},"mount_type":"kv"}}"#,
        words: &[
            "request",
            "auth/kubernetes/login",
            "userpass-x",
            "token-x",
            "jwt-spiffe://a/b",
            "unsupported path",
        ],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response","auth":{"accessor":"a"},
            "request":{"id":"7","operation":"update","mount_type":"cert","mount_point":"auth/cert/","path":"auth/cert/login"},
            "response":{"auth":{"accessor":"a","display_name":"cert-web","entity_id":"e","metadata":{"cert_name":"web","role":"r",
                "serial_number":"255"}}}}"#,
        words: &["jwt", "kubernetes", "secret/a", "jwt-spiffe://a/b"],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response","auth":{"client_token":"c","display_name":"token"},
            "request":{"id":"7","operation":"read","path":"secret/a","client_token_accessor":"a"},
            "response":{"wrap_info":{"accessor":"b","wrapped_accessor":"d"}}}"#,
        words: &["a", "d"],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response","auth":{"display_name":"aws-x",
            "metadata":{"client_arn":"arn:aws:sts::123456789012:assumed-role/web/s"}},
            "request":{"id":"7","operation":"read","path":"secret/a","client_token_accessor":"a"}}"#,
        words: &["token-x", "arn:aws:iam::123456789012:user/eve"],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response",
            "request":{"id":"7","operation":"update","mount_type":"approle","mount_point":"auth/approle/","path":"auth/approle/login"},
            "response":{"auth":{"accessor":"a","display_name":"approle","metadata":{"role_name":"ci"}}}}"#,
        words: &[],
    },
    Sample {
        format: Format::Vault,
        record: r#"{"time":"2026-07-23T09:00:05Z","type":"response","error":"permission denied",
            "request":{"id":"7","operation":"read","path":"secret/a"}}"#,
        words: &[],
    },
];

/// Columns that change with every field, or with none that a reader knows of.
const IDS: &[&str] = &["event_id", "request_key", "unmapped"];

fn is_leaf(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

/// Every value, and every list or object that may be left out: where it stands as the tables write it, without indices
/// of lists, and as JSON pointers do.
fn leaves(value: &Value, path: &str, pointer: &str, out: &mut Vec<(String, String)>) {
    if !path.is_empty() {
        out.push((path.to_owned(), pointer.to_owned()));
    }
    match value {
        Value::Object(fields) => {
            for (key, inner) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(inner, &path, &format!("{pointer}/{key}"), out);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                leaves(item, path, &format!("{pointer}/{index}"), out);
            }
        }
        _ => {}
    }
}

/// The columns whose lines name the field or what holds it.
fn named(format: Format, path: &str) -> BTreeSet<&'static str> {
    let names = |from: &str| {
        let mut tokens =
            from.split([' ', ',', ';', ':', '(', ')']).filter(|token| !token.is_empty());
        tokens.any(|token| {
            path.strip_prefix(token).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    format.mapping().iter().filter(|line| names(line.from)).map(|line| line.column).collect()
}

fn access(format: Format, record: &Value) -> Option<Access> {
    // No cluster is vouched for: then what the record says counts.
    let reading = with_context(|context| {
        let context = super::super::Context { cluster: None, ..*context };
        read(format, record.to_string().as_bytes(), &context)
    });
    reading.accesses.into_iter().next()
}

fn differing(one: &Access, other: &Access) -> BTreeSet<&'static str> {
    let batch = Access::to_batch(&[one.clone(), other.clone()]);
    let differs = |name: &&str| {
        let column = batch.column_by_name(name).unwrap();
        column.slice(0, 1) != column.slice(1, 1)
    };
    Access::TABLE.columns.iter().map(|column| column.name).filter(differs).collect()
}

/// The columns that change when the value at `pointer` is another, or is null.
fn columns_of(sample: &Sample, record: &Value, pointer: &str) -> BTreeSet<&'static str> {
    let before = access(sample.format, record).unwrap();
    let value = record.pointer(pointer).unwrap();
    let mut others = vec![Value::Null];
    match value {
        Value::String(text) => {
            let more = [format!("{text}x"), "2026-07-23T09:00:09Z".into(), "192.0.2.9".into()];
            others.extend(more.map(Value::from));
            others.extend(sample.words.iter().map(|word| Value::from(*word)));
        }
        Value::Number(_) => others.extend([1, 7, 16, 403, 401, 500].map(Value::from)),
        Value::Bool(truth) => others.push(Value::from(!truth)),
        _ => {}
    }
    let mut columns = BTreeSet::new();
    for other in others {
        let mut record = record.clone();
        *record.pointer_mut(pointer).unwrap() = other;
        if let Some(after) = access(sample.format, &record) {
            columns.extend(differing(&before, &after));
        }
    }
    columns
}

/// Scenario: each field of full records gets other values, or none.
/// Guarantees: only columns change whose line names the field, and what no line names is in `unmapped`.
#[test]
fn fields_fill_what_the_tables_say() {
    let mut wrong = BTreeMap::new();
    let mut proven: BTreeSet<(Format, &str)> = BTreeSet::new();
    for (index, sample) in SAMPLES.iter().enumerate() {
        let record: Value = serde_json::from_str(sample.record).unwrap();
        let mut found = Vec::new();
        leaves(&record, "", "", &mut found);
        for (path, pointer) in &found {
            let named = named(sample.format, path);
            if !is_leaf(record.pointer(pointer).unwrap()) {
                let columns = columns_of(sample, &record, pointer);
                proven.extend(columns.intersection(&named).map(|column| (sample.format, *column)));
                continue;
            }
            let columns = columns_of(sample, &record, pointer);
            proven.extend(columns.intersection(&named).map(|column| (sample.format, *column)));
            let unnamed: Vec<_> = columns
                .iter()
                .filter(|name| !named.contains(*name) && !IDS.contains(name))
                .collect();
            if !unnamed.is_empty() {
                wrong.insert(format!("{index} {path}"), format!("{unnamed:?}"));
            }
            if columns.iter().all(|name| matches!(*name, "event_id" | "request_key"))
                && !SAYS_NOTHING.contains(&path.as_str())
            {
                wrong.insert(format!("{index} {path}"), "lost".to_owned());
            }
        }
    }
    for format in [Format::Envoy, Format::Spire, Format::Hubble, Format::Vault] {
        for line in format.mapping() {
            if !proven.contains(&(format, line.column)) {
                wrong.insert(
                    format!("{format} {}", line.column),
                    "no field of its line fills it".to_owned(),
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Fields that say only that a line is an access.
const SAYS_NOTHING: &[&str] = &["level", "msg", "type", "subsystem_name", "scope"];
