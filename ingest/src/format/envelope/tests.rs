use std::io::Write as _;

use base64::Engine as _;
use serde_json::{Value, json};

use super::super::{Format, Reading, read as read_all};
use crate::lab::with_context;

fn reading(format: Format, input: &[u8]) -> Reading {
    with_context(|context| read_all(format, input, context))
}

/// Reads without a cluster that the door vouches for.
fn without_cluster(format: Format, input: &[u8]) -> Reading {
    with_context(|context| {
        let context = super::Context { cluster: None, ..*context };
        read_all(format, input, &context)
    })
}

fn event(id: &str) -> Value {
    json!({"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": id, "stage": "ResponseComplete", "verb": "get",
        "user": {"username": "system:serviceaccount:web:frontend"}, "sourceIPs": ["10.0.0.7"],
        "objectRef": {"resource": "secrets", "namespace": "web", "name": "db", "apiVersion": "v1"},
        "requestReceivedTimestamp": "2026-07-23T10:00:00.131337Z", "stageTimestamp": "2026-07-23T10:00:00.141337Z",
        "responseStatus": {"metadata": {}, "code": 200}})
}

fn group(messages: &[&str]) -> String {
    let events = messages
        .iter()
        .map(|message| json!({"id": "1", "timestamp": 1_784_800_800_131_i64, "message": message}));
    let events: Vec<Value> = events.collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/eks/prod/cluster",
        "logStream": "kube-apiserver-audit-0a1b2c", "subscriptionFilters": ["durward"], "logEvents": events})
    .to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Scenario: one event as the webhook sends it, and in every envelope of AWS and Azure.
/// Guarantees: the same row under the same id, and the format of each envelope is recognised.
#[test]
fn envelopes_do_not_change_the_row() {
    let event = event("a-1").to_string();
    let expect = reading(Format::KubeAudit, event.as_bytes()).accesses.remove(0);
    let group = group(&[&event]);
    let aks = json!({"time": "2026-07-23T10:00:00Z", "category": "kube-audit", "operationName": "Microsoft.ContainerService/managedClusters/diagnosticLogs/Read",
        "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD",
        "properties": {"log": event.clone() + "\n", "pod": "kube-apiserver-7c9", "stream": "stdout"}});
    let parsed = json!({"category": "kube-audit", "operationName": "x", "properties": {"log": serde_json::from_str::<Value>(&event).unwrap()}});
    let gzipped = gzip(group.as_bytes());
    let inputs: Vec<Vec<u8>> = [
        group.clone(),
        json!({"awslogs": {"data": base64(&gzipped)}}).to_string(),
        json!({"requestId": "1", "timestamp": 1, "records": [{"data": base64(&gzipped)}]})
            .to_string(),
        json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": base64(&gzipped)}}]})
            .to_string(),
        json!({"Records": [{"eventSource": "aws:sqs", "body": group}]}).to_string(),
        json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": group}}]}).to_string(),
        base64(&gzipped),
        format!("2026-07-23T10:00:00.131Z {event}\n"),
        format!("2026-07-23T10:00:00.131000+00:00 kube-apiserver-audit-0a1b2c {event}\n"),
        json!({"records": [aks]}).to_string(),
        format!("\u{feff}{aks}"),
        parsed.to_string(),
    ]
    .into_iter()
    .map(String::into_bytes)
    .chain([gzipped.clone(), gzip(&gzipped)])
    .collect();
    for input in inputs {
        let name = String::from_utf8_lossy(&input).chars().take(80).collect::<String>();
        let format = Format::detect(&input).unwrap_or_else(|| panic!("not recognised: {name}"));
        let reading = reading(format, &input);
        assert_eq!((reading.rejects.as_slice(), reading.items()), (&[][..], 1), "{name}");
        assert_eq!(reading.accesses[0], expect, "{name}");
    }
}

/// Scenario: envelopes of two clusters, read without a cluster that somebody vouches for.
/// Guarantees: each names its cluster, which counts for realm and id.
#[test]
fn envelopes_name_their_cluster() {
    let event = event("a-1").to_string();
    let aks = json!({"category": "kube-audit", "operationName": "x", "properties": {"log": event},
        "resourceId": "/SUBSCRIPTIONS/1/RESOURCEGROUPS/RG/PROVIDERS/MICROSOFT.CONTAINERSERVICE/MANAGEDCLUSTERS/PROD"});
    let expect = reading(Format::KubeAudit, event.as_bytes()).accesses.remove(0);
    for (format, input) in
        [(Format::CloudWatch, group(&[&event])), (Format::AksAudit, aks.to_string())]
    {
        assert_eq!(without_cluster(format, input.as_bytes()).accesses[0], expect, "{input}");
    }
}

/// Scenario: a log group with events, one that was cut, one that is no event, the text log of a
/// server, and a probe; several compressed members, of which the last is torn.
/// Guarantees: each message is a row or a reject of its own; the probe is nothing.
#[test]
fn each_message_stands_alone() {
    let whole = event("a-1").to_string();
    let cut = format!("{}[Truncated...]", whole.split_at(200).0);
    let group =
        group(&[&whole, &cut, "I0723 10:00:00.131 server.go:1] ready", r#"{"level":"info"}"#]);
    let probe = json!({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "CWL CONTROL MESSAGE: Checking health"}]});
    let mut members = gzip(format!("{group}{group}").as_bytes());
    members.extend(gzip(probe.to_string().as_bytes()));
    let mut torn = members.clone();
    torn.extend(gzip(group.as_bytes()).split_at(60).0);
    for (input, tears) in [(members, 0), (torn, 1)] {
        let reading = reading(Format::CloudWatch, &input);
        assert_eq!((reading.accesses.len(), reading.logs.len()), (2, 4));
        let reasons: Vec<&str> =
            reading.rejects.iter().map(|reject| reject.reason.as_str()).collect();
        let expect = [vec!["truncated"; 2], vec!["not_decompressed"; tears]].concat();
        assert_eq!(reasons, expect);
        assert_eq!(reading.logs[0].body.as_deref(), Some("I0723 10:00:00.131 server.go:1] ready"));
        assert_eq!(reading.logs[0].service.as_deref(), Some("kube-apiserver-audit"));
        assert_eq!(reading.logs[0].time.to_string(), "2026-07-23T10:00:00.131000Z");
    }
}

/// Scenario: an envelope as AWS orders its fields, cut at every place.
/// Guarantees: every message before the cut is a row of its cluster, the one that was cut is a reject.
#[test]
fn cut_groups_keep_what_is_whole() {
    let message = Value::from(event("a-1").to_string()).to_string();
    let group = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/aws/eks/prod/cluster","logStream":"s-1","logEvents":[{{"id":"1","message":{message}}},{{"id":"2","message":{message}}}]}}"#
    );
    let expect = without_cluster(Format::CloudWatch, group.as_bytes()).accesses;
    assert_eq!(expect.len(), 2);
    let first = group.find("},{").unwrap();
    for cut in (1..group.len()).step_by(7) {
        let reading = without_cluster(Format::CloudWatch, &group.as_bytes()[..cut]);
        let whole = usize::from(cut > first) + usize::from(cut > group.len() - 3);
        assert_eq!(reading.accesses, expect[..whole], "{cut}");
        assert_eq!(reading.rejects.len(), 1, "{cut}");
    }
}

/// Scenario: an Event Hub with records of all sorts in one batch, and one that is of none.
/// Guarantees: each is read as what it is.
#[test]
fn hubs_carry_all_sorts() {
    let record = |category: &str, more: &Value| {
        let mut record = json!({"operationName": "Microsoft.Sql/servers/write", "category": category, "resourceId": "/subscriptions/1"});
        record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        record
    };
    let records = [
        record("Administrative", &json!({})),
        record("kube-audit", &json!({"properties": {"log": event("a-1").to_string()}})),
        record("guard", &json!({"properties": {"log": "text"}})),
        record("ManagedIdentitySignInLogs", &json!({"properties": {"appId": "a"}})),
        record("AuditLogs", &json!({"properties": {"activityDisplayName": "x"}})),
        json!(7),
        json!({"kind": "nothing"}),
    ];
    let input = json!({ "records": records }).to_string();
    let reading = reading(Format::AzureActivity, input.as_bytes());
    let providers: Vec<&str> = reading.accesses.iter().map(|row| row.provider.as_str()).collect();
    assert_eq!(providers, ["azure", "kubernetes", "azure", "azure"]);
    let rejected: Vec<_> = reading
        .rejects
        .iter()
        .map(|r| (r.reason.as_str(), r.position.as_deref().unwrap()))
        .collect();
    assert_eq!(rejected, [("unknown_record", "item 6"), ("not_an_azure_record", "item 7")]);
    assert_eq!(reading.logs.len(), 1);
}

/// Scenario: events of CloudTrail by EventBridge, in lines, in a log group, in a file.
/// Guarantees: one row each, under one id.
#[test]
fn cloudtrail_comes_by_many_ways() {
    let event = json!({"eventVersion": "1.11", "eventName": "GetObject", "eventSource": "s3.amazonaws.com", "eventTime": "2026-07-23T10:00:00Z"});
    let bridge = json!({"version": "0", "detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": event});
    let file = json!({ "Records": [event] }).to_string();
    let ids: Vec<_> = [
        event.to_string(),
        bridge.to_string(),
        group(&[&event.to_string()]),
        String::from_utf8_lossy(&file.clone().into_bytes()).into_owned(),
    ]
    .iter()
    .map(|input| {
        let format = Format::detect(input.as_bytes()).unwrap();
        let reading = reading(format, input.as_bytes());
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{input}");
        reading.accesses[0].event_id.clone()
    })
    .collect();
    assert!(ids.iter().all(|id| *id == ids[0]));
    let compressed = reading(Format::CloudTrail, &gzip(file.as_bytes()));
    assert_eq!(compressed.accesses[0].event_id, ids[0]);
}

/// Scenario: an entry of Cloud Logging alone, in a list, pushed and pulled by Pub/Sub.
/// Guarantees: one row each, under one id.
#[test]
fn entries_come_by_many_ways() {
    let entry = json!({"insertId": "1", "logName": "projects/acme/logs/x", "timestamp": "2026-07-23T10:00:00Z",
        "protoPayload": {"serviceName": "iam.googleapis.com", "methodName": "SetIamPolicy"}});
    let data = base64(entry.to_string().as_bytes());
    let pushed = json!({"message": {"data": data, "messageId": "7"}, "subscription": "projects/acme/subscriptions/s"});
    let pulled = json!([{"ackId": "x", "message": {"data": data}}]);
    for input in [entry.clone(), json!([entry]), pushed, pulled] {
        let format = Format::detect(input.to_string().as_bytes());
        assert_eq!(format, Some(Format::GcpAudit), "{input}");
        let reading = reading(Format::GcpAudit, input.to_string().as_bytes());
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{input}");
    }
}

/// Scenario: envelopes that hold one another without end, and bytes that become far too many.
/// Guarantees: a reject that says so.
#[test]
fn envelopes_are_bounded() {
    let mut input = event("a-1").to_string();
    for _ in 0..20 {
        input =
            json!({"detail-type": "x", "detail": serde_json::from_str::<Value>(&input).unwrap()})
                .to_string();
    }
    let deep = reading(Format::CloudTrail, input.as_bytes());
    assert_eq!(deep.rejects[0].reason, "too_deep");
    let bomb = reading(Format::CloudWatch, &gzip(&vec![b' '; super::MAX_INFLATED + 1]));
    assert_eq!(bomb.rejects[0].reason, "too_large");
    // A little that becomes much, many times.
    let inner = base64(&gzip(&vec![b' '; super::MAX_INFLATED / 2]));
    let many = json!({"records": vec![inner; 9]}).to_string();
    let bombs = reading(Format::CloudWatch, &gzip(many.as_bytes()));
    assert_eq!(bombs.rejects.iter().filter(|it| it.reason == "too_large").count(), 8);
}

/// Scenario: lists with more in them than is read of one item.
/// Guarantees: as much as is read, and a reject that says so.
#[test]
fn rows_of_one_item_are_bounded() {
    let message = event("a-1").to_string();
    for input in [
        json!([event("a-1"), event("a-2"), event("a-3"), event("a-4")]).to_string(),
        group(&[message.as_str(); 4]),
    ] {
        let mut reading = Reading::default();
        with_context(|context| {
            let (left, item) = (std::cell::Cell::new(0), super::Item::whole(input.as_bytes()));
            let envelope = super::Envelope {
                format: Format::CloudWatch,
                context: *context,
                depth: 0,
                is_torn: false,
                left: &left,
                most: 2,
            };
            envelope.inner(&item.bytes, &item, &mut reading);
        });
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (2, 1), "{input}");
        assert_eq!(reading.rejects[0].reason, "too_many");
    }
}

/// Scenario: one event as interfaces and command lines answer it, as streams and queues hand it over, and
/// in what else wraps a message.
/// Guarantees: the same row under the same id.
#[test]
fn answers_and_queues_are_opened() {
    let event = event("a-1").to_string();
    let expect = reading(Format::KubeAudit, event.as_bytes()).accesses.remove(0);
    let group = group(&[&event]);
    let data = base64(&gzip(group.as_bytes()));
    let told = json!({"id": "1", "timestamp": "1784800800131", "message": serde_json::from_str::<Value>(&event).unwrap()});
    let parsed = json!({"messageType": "DATA_MESSAGE", "logGroup": "/aws/eks/prod/cluster", "logEvents": [told]});
    let aks = json!({"time": "2026-07-23T10:00:00Z", "category": "kube-audit", "operationName": "x", "properties": {"log": event}});
    let row = json!({"Category": "kube-audit", "OperationName": "x", "log_s": event, "TimeGenerated": "2026-07-23T10:00:00Z"});
    for input in [
        json!({"events": [{"logStreamName": "kube-apiserver-audit-1", "timestamp": 1, "message": event, "eventId": "1"}]}),
        json!([{"@timestamp": "2026-07-23 10:00:00.131", "@message": event}]),
        json!({"Type": "Notification", "TopicArn": "t", "Message": event}),
        json!({"Messages": [{"MessageId": "1", "ReceiptHandle": "r", "Body": event}]}),
        json!({"Records": [{"eventSource": "aws:sqs", "body": json!({"Type": "Notification", "Message": event}).to_string()}]}),
        json!({"records": [{"recordId": "1", "approximateArrivalTimestamp": 1, "data": data}]}),
        json!({"Records": [{"SequenceNumber": "1", "PartitionKey": "p", "Data": data}]}),
        json!([{"records": [aks.clone()]}]),
        json!({"x-opt-sequence-number": 1, "body": aks.clone()}),
        json!({"_index": "hub", "_source": {"records": [aks.clone()]}}),
        json!({"EnqueuedTimeUtc": "x", "Body": json!({"records": [aks]}).to_string()}),
        row,
        parsed,
        serde_json::from_str(&self::group(&[&json!(event).to_string()])).unwrap(),
        serde_json::from_str(&self::group(&[
            &json!({"log": event, "stream": "stdout"}).to_string()
        ]))
        .unwrap(),
    ] {
        let text = input.to_string();
        let format = Format::detect(text.as_bytes()).unwrap_or(Format::CloudWatch);
        let reading = reading(format, text.as_bytes());
        assert_eq!((reading.rejects.as_slice(), reading.items()), (&[][..], 1), "{text}");
        assert_eq!(reading.accesses[0], expect, "{text}");
    }
}

/// Scenario: a list of events of an API server, compressed, as a message, and in a hub.
/// Guarantees: every event in it is the row that it is by itself.
#[test]
fn lists_of_events_are_opened() {
    let list = json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [event("a-1"), event("a-2")]});
    let expect = reading(Format::KubeAudit, list.to_string().as_bytes()).accesses;
    assert_eq!(expect.len(), 2);
    let text = list.to_string();
    let aks = json!({"category": "kube-audit", "operationName": "x", "properties": {"log": text}});
    for (format, input) in [
        (Format::CloudWatch, gzip(text.as_bytes())),
        (Format::CloudWatch, group(&[&text]).into_bytes()),
        (Format::AksAudit, aks.to_string().into_bytes()),
    ] {
        let reading = reading(format, &input);
        assert_eq!((reading.items(), &reading.accesses), (2, &expect));
    }
}

/// Scenario: lists as the interfaces of AWS, Google and Azure answer them, among them empty ones.
/// Guarantees: each is recognised, and every record in it is a row.
#[test]
fn lists_of_interfaces_are_opened() {
    let trail = json!({"eventVersion": "1.11", "eventName": "GetObject", "eventSource": "s3.amazonaws.com", "userIdentity": {}});
    let entry = json!({"logName": "projects/p/logs/x", "protoPayload": {"serviceName": "k8s.io", "methodName": "io.k8s.core.v1.pods.list"}});
    let pulled = json!({"ackId": "x", "message": {"data": base64(entry.to_string().as_bytes())}});
    let activity = json!({"operationName": {"value": "Microsoft.Sql/servers/write"}, "resourceId": "/subscriptions/1/x"});
    let signin = json!({"id": "1", "appId": "a", "conditionalAccessStatus": "success"});
    for (input, format) in [
        (
            json!({"Events": [{"EventId": "1", "CloudTrailEvent": trail.to_string()}]}),
            Format::CloudTrail,
        ),
        (json!({"entries": [entry.clone()], "nextPageToken": "x"}), Format::GkeAudit),
        (json!({"receivedMessages": [pulled]}), Format::GcpAudit),
        (
            json!({"specversion": "1.0", "type": "google.cloud.audit.log.v1.written", "data": entry}),
            Format::GkeAudit,
        ),
        (json!({"value": [activity], "nextLink": "x"}), Format::AzureActivity),
        (json!({"@odata.context": "x", "value": [signin]}), Format::AzureSignin),
    ] {
        let text = input.to_string();
        assert_eq!(Format::detect(text.as_bytes()), Some(format), "{text}");
        let reading = reading(format, text.as_bytes());
        assert_eq!((reading.accesses.len(), reading.items()), (1, 1), "{text}");
    }
    for empty in [r#"{"value":[]}"#, r#"{"Records":[]}"#, r#"{"entries":[]}"#] {
        assert_eq!(reading(Format::GcpAudit, empty.as_bytes()).items(), 0, "{empty}");
    }
}

/// Scenario: an event of `EventBridge` that is no audit record, and a question of SNS.
/// Guarantees: the first is a row of `logs` of its source, the second is nothing.
#[test]
fn other_notifications_are_logs() {
    let event = json!({"detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2",
        "time": "2026-07-23T10:00:00Z", "detail": {"state": "running"}});
    let reading = |input: &Value| reading(Format::CloudTrail, input.to_string().as_bytes());
    let read = reading(&event);
    assert_eq!((read.logs.len(), read.items()), (1, 1));
    assert_eq!(read.logs[0].service.as_deref(), Some("aws.ec2"));
    let question = json!({"Type": "SubscriptionConfirmation", "TopicArn": "t", "Message": "You have chosen to subscribe"});
    assert_eq!(reading(&question).items(), 0);
}

/// Scenario: a row of the table of Log Analytics for audit events of AKS.
/// Guarantees: the columns of the event, and the cluster of the resource.
#[test]
fn rows_of_aks_are_events() {
    let row = json!({"Type": "AKSAuditAdmin", "TimeGenerated": "2026-07-23T10:00:00Z", "AuditId": "a-1", "Stage": "ResponseComplete",
        "Verb": "delete", "RequestUri": "/api/v1/x", "User": json!({"username": "eve"}).to_string(), "SourceIps": ["10.0.0.7"],
        "ResponseStatus": {"code": 200}, "RequestReceivedTime": "2026-07-23T09:59:59.5Z",
        "_ResourceId": "/subscriptions/1/resourcegroups/r/providers/microsoft.containerservice/managedclusters/shop"});
    let text = row.to_string();
    assert_eq!(Format::detect(text.as_bytes()), Some(Format::AksAudit));
    let read = without_cluster(Format::AksAudit, text.as_bytes());
    assert_eq!(read.rejects, []);
    let access = &read.accesses[0];
    assert_eq!(access.cluster.as_deref(), Some("shop"));
    assert_eq!((access.identity.as_deref(), access.status_code), (Some("eve"), Some(200)));
    assert_eq!(access.time.to_string(), "2026-07-23T09:59:59.500000Z");
}

/// Scenario: one event as a query of Insights answers it, by its interface and by the console, with the
/// message as text and as an object; and as `aws logs tail --format json` prints it.
/// Guarantees: the row that the event is, of the cluster whose group is told; a head is no message.
#[test]
fn answers_of_insights_and_pretty_lines_are_opened() {
    let event = event("a-1");
    let expect = reading(Format::KubeAudit, event.to_string().as_bytes()).accesses.remove(0);
    let log = "123456789012:/aws/eks/prod/cluster";
    let field = |field: &str, value: &str| json!({"field": field, "value": value});
    let row = json!([
        field("@timestamp", "2026-07-23 10:00:00.131"),
        field("@message", &event.to_string()),
        field("@log", log),
        field("@ptr", "Cl"),
    ]);
    let pretty = serde_json::to_string_pretty(&event).unwrap();
    let head = "2026-07-23T10:00:00.131000+00:00 kube-apiserver-audit-0a1b2c ";
    for (input, rows, has_group) in [
        (json!({"results": [row, row], "status": "Complete"}).to_string(), 2, true),
        (json!([{"@timestamp": "2026-07-23 10:00:00.131", "@message": event, "@log": log}]).to_string(), 1, true),
        (json!([{"@timestamp": "2026-07-23 10:00:00.131", "@message": event.to_string(), "@log": log}]).to_string(), 1, true),
        (format!("{head}\n{pretty}\n{head}I0723 ready\n{head}\n{pretty}\n"), 2, false),
    ] {
        let format = Format::detect(input.as_bytes()).unwrap_or_else(|| panic!("{input}"));
        assert_eq!(format, Format::CloudWatch, "{input}");
        let told = if has_group { without_cluster(format, input.as_bytes()) } else { reading(format, input.as_bytes()) };
        assert_eq!(told.rejects, [], "{input}");
        assert_eq!(told.accesses, vec![expect.clone(); rows], "{input}");
        assert_eq!(told.logs.len(), usize::from(!has_group), "{input}");
    }
    let none = json!({"results": [], "status": "Complete"}).to_string();
    assert_eq!(reading(Format::CloudWatch, none.as_bytes()).items(), 0);
}

/// Scenario: a row of the table of audit events of AKS, as a query answers it, without its table.
/// Guarantees: the event that the row is, of its cluster.
#[test]
fn rows_of_tables_need_no_name_of_the_table() {
    let row = json!({"TenantId": "w", "TimeGenerated": "2026-07-23T10:00:00Z", "AuditId": "a-1", "Level": "Metadata", "Stage": "ResponseComplete",
        "RequestUri": "/api/v1/pods", "Verb": "list", "User": {"username": "eve"}, "SourceIps": ["203.0.113.7"],
        "_ResourceId": "/subscriptions/1/resourcegroups/rg/providers/microsoft.containerservice/managedclusters/prod"});
    let text = json!([row]).to_string();
    let format = Format::detect(text.as_bytes()).unwrap();
    let access = without_cluster(format, text.as_bytes()).accesses.remove(0);
    assert_eq!((access.verb.as_deref(), access.cluster.as_deref()), (Some("list"), Some("prod")));
    assert_eq!(access.source_event_id.as_deref(), Some("a-1"));
    // The answer of the interface has names and values apart.
    let columns: Vec<Value> = row
        .as_object()
        .unwrap()
        .keys()
        .map(|name| json!({"name": name, "type": "string"}))
        .collect();
    let values: Vec<Value> = row.as_object().unwrap().values().cloned().collect();
    let answer = json!({"tables": [{"name": "PrimaryResult", "columns": columns, "rows": [values, values]}]}).to_string();
    let format = Format::detect(answer.as_bytes()).unwrap();
    let answered = without_cluster(format, answer.as_bytes());
    assert_eq!(
        (answered.rejects.as_slice(), answered.accesses),
        (&[][..], vec![access.clone(), access])
    );
}

/// Scenario: events as a query of CloudTrail Lake answers them, whole and by columns.
/// Guarantees: each is the row that the event is, as far as the columns tell.
#[test]
fn answers_of_lake_are_opened() {
    let event = json!({"eventVersion": "1.11", "eventID": "e-1", "eventTime": "2026-07-23T10:00:00Z", "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com", "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::1:user/eve"}});
    let expect = reading(Format::CloudTrail, event.to_string().as_bytes()).accesses.remove(0);
    let columns = json!([{"eventID": "e-1"}, {"eventTime": "2026-07-23 10:00:00.000"}, {"eventName": "GetObject"}, {"eventSource": "s3.amazonaws.com"}]);
    let answer = json!({"QueryStatus": "FINISHED", "QueryResultRows": [[{"eventJson": event.to_string()}], columns]}).to_string();
    assert_eq!(Format::detect(answer.as_bytes()), Some(Format::CloudTrail));
    let told = reading(Format::CloudTrail, answer.as_bytes());
    assert_eq!((told.rejects.as_slice(), told.accesses.len()), (&[][..], 2));
    assert_eq!(told.accesses[0], expect);
    assert_eq!((told.accesses[1].time, &told.accesses[1].verb), (expect.time, &expect.verb));
}

/// Scenario: events that a container prints into `CloudWatch` and into Azure Monitor, that another part of a
/// control plane writes, and that an application puts on a bus; beside each the true one.
/// Guarantees: what anybody may write is a log record and nobody's access.
#[test]
fn what_containers_print_is_no_event() {
    let forged = event("a-1").to_string();
    let in_log = json!({"log": forged, "kubernetes": {"pod_name": "evil"}}).to_string();
    let of_group = |name: &str, stream: &str| {
        let told = group(&[&forged, &in_log]).replace("/aws/eks/prod/cluster", name);
        reading(Format::CloudWatch, told.replace("kube-apiserver-audit-0a1b2c", stream).as_bytes())
    };
    for (name, stream) in [
        ("/aws/containerinsights/prod/application", "evil"),
        ("/aws/eks/prod/cluster", "authenticator-0a1b2c"),
    ] {
        let told = of_group(name, stream);
        assert_eq!((told.logs.len(), told.items()), (2, 2), "{name}");
    }
    assert_eq!(of_group("/aws/eks/prod/cluster", "kube-apiserver-audit-1").accesses.len(), 2);
    let of_category = |category: &str| {
        let record = json!({"operationName": "x", "category": category, "resourceId": "/x", "properties": {"log": forged}});
        reading(Format::AksAudit, record.to_string().as_bytes())
    };
    assert_eq!(of_category("ContainerLogV2").logs.len(), 1);
    assert_eq!(of_category("kube-audit").accesses.len(), 1);
    let of_bus = |source: &str| {
        let detail = json!({"eventVersion": "1.11", "eventName": "GetUser", "eventSource": "iam.amazonaws.com", "awsRegion": "x",
            "eventTime": "2026-07-23T10:00:00Z", "userIdentity": {"type": "Root", "arn": "arn:aws:iam::123456789012:root"}});
        let told = json!({"detail-type": "AWS API Call via CloudTrail", "source": source, "detail": detail});
        reading(Format::CloudTrail, told.to_string().as_bytes())
    };
    assert_eq!((of_bus("shop.orders").logs.len(), of_bus("shop.orders").items()), (1, 1));
    assert_eq!(of_bus("aws.iam").accesses.len(), 1);
}
