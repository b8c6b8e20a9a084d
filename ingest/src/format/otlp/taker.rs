//! Items of a request as they are decoded, read some at a time: rows are made of little, and whoever waits
//! for them may take them away before there are many.

use durward_schemas::tables::Reject;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::super::{Context, Format, Reading};
use super::{Broken, Origin};

/// What the short columns of a row weigh together, roughly.
pub(crate) const ROW: usize = 1_000;
/// Rows are made when so much has come together.
const AT_ONCE: usize = 2 << 20;

/// What something weighs, before it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Weight {
    /// All of it.
    pub(crate) bytes: usize,
    /// The largest part that cannot be taken apart before it is read.
    pub(crate) largest: usize,
}

impl Weight {
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Takes away rows that have been made; tells whether the rest is still wanted.
pub(crate) type Relieve<'a> = &'a mut dyn FnMut(&mut Reading) -> bool;

/// Reads the items of one group.
pub(super) type Read<T> = fn(Vec<T>, &Origin, &Context<'_>, &mut Reading);

/// What makes rows of items.
pub(super) struct Taker<'a, 'c, T> {
    read: Read<T>,
    context: &'a Context<'c>,
    reading: &'a mut Reading,
    relieve: Relieve<'a>,
    origin: Option<Origin>,
    items: Vec<T>,
    weight: usize,
    is_stopped: bool,
}

impl<'a, 'c, T> Taker<'a, 'c, T> {
    pub(super) fn new(
        read: Read<T>,
        context: &'a Context<'c>,
        reading: &'a mut Reading,
        relieve: Relieve<'a>,
    ) -> Self {
        Self {
            read,
            context,
            reading,
            relieve,
            origin: None,
            items: Vec::new(),
            weight: 0,
            is_stopped: false,
        }
    }

    /// Whether the rest is not wanted.
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Whether what follows is refused, since its sender may not speak for its cluster.
    pub(super) fn is_refused(&self) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.is_refused)
    }

    /// What follows is of this resource and scope.
    pub(super) fn begin(&mut self, resource: Resource, scope: InstrumentationScope) {
        self.flush();
        self.origin = Some(Origin::new(resource, scope, self.context));
    }

    /// An item of so many bytes that becomes so many rows.
    pub(super) fn item(&mut self, item: T, bytes: usize, rows: usize) {
        self.items.push(item);
        let of_each = self.origin.as_ref().map_or(0, |origin| origin.attributes.as_str().len());
        self.weight += bytes + rows.saturating_mul(ROW + of_each);
        if self.weight >= AT_ONCE {
            self.flush();
        }
    }

    /// An item that cannot be read; those before it are read first.
    pub(super) fn broken(&mut self, broken: Broken) {
        let Some(origin) = self.origin.as_ref() else { return };
        let context = Context { cluster: origin.cluster.as_deref(), ..*self.context };
        let Broken { bytes, failure, position } = broken;
        let reject = context.reject(Format::Otlp, &bytes, &failure);
        self.reading.rejects.push(Reject { position: Some(position), ..reject });
        self.weight += ROW;
        if self.weight >= AT_ONCE {
            self.flush();
        }
    }

    /// There is no more.
    pub(super) fn end(&mut self) {
        self.flush();
    }

    fn flush(&mut self) {
        self.weight = 0;
        let items = std::mem::take(&mut self.items);
        if let (Some(origin), false) = (&self.origin, items.is_empty()) {
            let context = Context { cluster: origin.cluster.as_deref(), ..*self.context };
            let before = self.reading.accesses.len();
            (self.read)(items, origin, &context, self.reading);
            let read = self.reading.accesses.get_mut(before..).unwrap_or_default();
            context.sign(read, origin.claimed_cluster.as_deref());
        }
        self.is_stopped |= !(self.relieve)(self.reading);
    }
}
