//! One alert for tests: a stolen token, told as it would be.

use durward_schemas::Time;

use super::{Alert, Kind, Story};

pub(crate) fn alert() -> Alert {
    Alert {
        incident_id: "5f2c9a0e4b7d41d8a3e6c1b2d4f60718".into(),
        version: 1,
        log_position: 42,
        severity_id: 4,
        cluster: Some("prod".into()),
        first_time: Time(1_795_370_289_919_080),
        last_time: Time(1_795_370_291_950_171),
        finding_count: 2,
        event_count: 7,
        grave_sorts: 1,
        kinds: vec![
            Kind { title: "Token of a pod used from another address".into(), count: 6 },
            Kind { title: "A workload asked for everything that it may do".into(), count: 1 },
        ],
        techniques: vec!["T1528".into(), "T1550.001".into()],
        story: Story {
            title: "Token of a pod used from another address".into(),
            who: "ServiceAccount shop/cart, pod cart-55b76dbd79-9r7xh of Deployment shop/cart".into(),
            what: vec![
                "ServiceAccount shop/cart, pod cart-55b76dbd79-9r7xh read secrets shop/cart-redis from 127.66.217.205 with a token bound to the pod, but its pod has the address 127.20.0.6".into(),
                "ServiceAccount shop/cart created selfsubjectrulesreviews from 127.66.217.205: programs know what they need".into(),
            ],
            why_possible: Some("RoleBinding/shop/cart gives Role/shop/cart to ServiceAccount shop/cart".into()),
            what_changed: Some("alice created RoleBinding shop/cart, which gives Role shop/cart to ServiceAccount shop/cart, 6 min before".into()),
            unusual: Some("0 of 57 other tokens bound to a pod here were used from a second address".into()),
            next_step: "kubectl delete pod -n shop -- cart-55b76dbd79-9r7xh  # its token ends with it".into(),
        },
    }
}

/// The same with every text of the lab's story `hostile-text` somewhere in it.
pub(crate) fn hostile() -> Alert {
    let mut alert = alert();
    alert.kinds = vec![Kind { title: "<!channel>\u{1b}[2J\u{202e}".repeat(500), count: 3 }; 40];
    alert.cluster = Some("<!channel>\u{202e}".into());
    alert.story = Story {
        title: "<!channel> urgent <https://evil.example|click> *bold* `code`".into(),
        who: "user \u{1b}[2J\u{1b}]0;pwned\u{7}all clear".into(),
        what: vec!["payments\u{202e}gnp.exe a\0b\u{200b}\u{feff}c\n<script>".repeat(200)],
        why_possible: Some("=cmd|' /C calc'!A0".into()),
        what_changed: Some("x".repeat(20_000)),
        unusual: None,
        next_step: "kubectl get role 'a\u{0}b'".into(),
    };
    alert
}
