//! Protobuf taken apart by hand as far as its items, each of which is then decoded by itself.
//!
//! An empty item is two bytes and a row some hundreds, so nothing is made of a request before it is
//! weighed, and then little at a time. <https://protobuf.dev/programming-guides/encoding/>

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::super::{Failure, MAX_ITEM};
use super::mend::{self, Shape, mended};
use super::taker::{ROW, Taker, Weight};
use super::{Broken, MAX_RESOURCE, MAX_VALUES};

/// Items that have fewer bytes are not counted through: they cannot become much.
const SMALL: usize = 64 << 10;

/// What a resource and a scope weigh, also without any item.
const GROUP: usize = 100;

/// Hands on the items of a request that was weighed, behind their resource and scope. In each signal `resource_*` is
/// field 1 of the request; in it field 1 is the resource and field 2 the scopes; in these field 1 is
/// the scope and field 2 the items.
pub(super) fn take_apart<T: Message + Default>(
    shape: Shape,
    bytes: &[u8],
    taker: &mut Taker<'_, '_, T>,
) -> Result<(), Failure> {
    for of_resource in messages(bytes, 1) {
        let of_resource = of_resource?;
        let resource_bytes = first(of_resource)?;
        let resource = resource_bytes.and_then(|bytes| decoded::<Resource>(Shape::Resource, bytes));
        let resource = resource.unwrap_or_default();
        for of_scope in messages(of_resource, 2) {
            let of_scope = of_scope?;
            if messages(of_scope, 2).next().is_none() {
                continue;
            }
            let scope = first(of_scope)?
                .and_then(|bytes| decoded::<InstrumentationScope>(Shape::Scope, bytes));
            taker.begin(resource.clone(), scope.unwrap_or_default());
            for (index, item) in messages(of_scope, 2).enumerate() {
                take(shape, item?, index, taker);
                if taker.is_stopped() {
                    return Ok(());
                }
            }
        }
    }
    taker.end();
    Ok(())
}

fn take<T: Message + Default>(
    shape: Shape,
    item: &[u8],
    index: usize,
    taker: &mut Taker<'_, '_, T>,
) {
    let undecodable = || {
        Failure::new("not_otlp", "the item does not decode")
            .hint("a text in it may not be UTF-8: see the exporter's log")
    };
    if taker.is_refused() {
        return taker.broken(Broken::not_its_cluster(item, index));
    }
    if item.len() > MAX_ITEM || has_too_many_values(shape, item) {
        return taker.broken(Broken::too_large(item, index));
    }
    match decoded(shape, item) {
        Some(decoded) => taker.item(decoded, item.len(), rows(shape, item).0),
        None => taker.broken(Broken::new(item, undecodable(), index)),
    }
}

/// What the rows of a request will weigh, resource attributes in each of them; looked at no further where it
/// is more than `most`. What is broken is told before any of it is kept.
pub(super) fn weigh(shape: Shape, bytes: &[u8], most: usize) -> Result<Weight, Failure> {
    let mut weight = Weight::default();
    for of_resource in messages(bytes, 1) {
        let of_resource = of_resource?;
        let resource = first(of_resource)?.unwrap_or_default();
        let of_each = resource.len();
        if of_each > MAX_RESOURCE || has_too_many_values(Shape::Resource, resource) {
            return Err(too_large());
        }
        weight.add(GROUP);
        for of_scope in messages(of_resource, 2) {
            if weight.bytes > most {
                return Ok(weight);
            }
            weight.add(GROUP);
            let of_scope = of_scope?;
            let scope = first(of_scope)?.unwrap_or_default();
            if scope.len() > MAX_RESOURCE || has_too_many_values(Shape::Scope, scope) {
                return Err(too_large());
            }
            for item in messages(of_scope, 2) {
                let item = item?;
                let (rows, beside) = rows(shape, item);
                let of_row = ROW + of_each + scope.len() + beside;
                if weight.bytes > most {
                    return Ok(weight);
                }
                weight.largest = weight.largest.max(item.len());
                weight.add(of_row.saturating_mul(rows).saturating_add(item.len()));
            }
        }
    }
    Ok(weight)
}

pub(super) fn too_large() -> Failure {
    Failure::new("too_large", "a resource or a scope holds more than is read")
}

/// How many rows an item becomes, and what stands in each of them beside its own part of the item: of a
/// metric each data point is one.
fn rows(shape: Shape, item: &[u8]) -> (usize, usize) {
    if shape != Shape::Metric {
        return (1, 0);
    }
    let (mut rows, mut inside) = (0, 0);
    for (number, data) in fields(item).flatten() {
        if matches!(number, 5 | 7 | 9 | 10 | 11) {
            rows += messages(data, 1).flatten().count();
            inside += data.len();
        }
    }
    (rows.max(1), item.len() - inside)
}

/// Whether an item holds more values than are read of one.
fn has_too_many_values(shape: Shape, item: &[u8]) -> bool {
    item.len() > SMALL && mend::values(shape, item) > MAX_VALUES
}

/// A message, if need be with its broken texts masked.
fn decoded<T: Message + Default>(shape: Shape, bytes: &[u8]) -> Option<T> {
    let mended = || T::decode(mended(shape, bytes)?.as_slice()).ok();
    T::decode(bytes).ok().or_else(mended)
}

/// The content of field 1.
fn first(bytes: &[u8]) -> Result<Option<&[u8]>, Failure> {
    messages(bytes, 1).next().transpose()
}

/// Whether the first item of a request has two times of eight bytes where only spans have them.
pub(super) fn begins_with_span(bytes: &[u8]) -> bool {
    let first = |bytes, wanted| messages(bytes, wanted).next()?.ok();
    let item = first(bytes, 1).and_then(|of_resource| first(first(of_resource, 2)?, 2));
    let has = |number: u64| {
        let mut tags = item.into_iter().flat_map(tagged).flatten();
        tags.any(|(tag, _)| tag == number << 3 | 1)
    };
    has(7) && has(8)
}

/// The contents of all fields of a message that have this number and a length.
fn messages(bytes: &[u8], wanted: u64) -> impl Iterator<Item = Result<&[u8], Failure>> {
    fields(bytes).filter_map(move |field| match field {
        Ok((number, content)) => (number == wanted).then_some(Ok(content)),
        Err(failure) => Some(Err(failure)),
    })
}

/// The fields of a message that have a length; others are skipped.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), Failure>> {
    tagged(bytes).filter_map(|field| match field {
        Ok((tag, content)) => (tag & 7 == 2).then_some(Ok((tag >> 3, content))),
        Err(failure) => Some(Err(failure)),
    })
}

/// All fields of a message by their tags; the last is the failure, if it breaks.
fn tagged(mut bytes: &[u8]) -> impl Iterator<Item = Result<(u64, &[u8]), Failure>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let field = next(bytes);
        bytes = field.map_or(&[], |(_, _, rest)| rest);
        let broken = || Failure::new("not_otlp", "the request is not protobuf");
        Some(field.map(|(tag, content, _)| (tag, content)).ok_or_else(broken))
    })
}

/// The first field of a message: tag, content and what comes after.
pub(super) fn next(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (tag, rest) = varint(bytes)?;
    let (length, rest) = match tag & 7 {
        0 => (0, varint(rest)?.1),
        1 => (8, rest),
        2 => varint(rest)?,
        5 => (4, rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    Some((tag, content, rest))
}

pub(super) fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(index + 1..)?));
        }
    }
    None
}
