//! Protobuf taken apart by hand as far as its items, each of which is then decoded by itself.
//!
//! <https://protobuf.dev/programming-guides/encoding/>

use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use super::super::{Failure, MAX_ITEM};
use super::mend::{Shape, mended};
use super::{Broken, Group};

/// The groups of a request. In each signal `resource_*` is field 1 of the request; in it field 1 is
/// the resource and field 2 the scopes; in these field 1 is the scope and field 2 the items.
pub(super) fn groups<T: Message + Default>(
    shape: Shape,
    bytes: &[u8],
) -> Result<Vec<Group<T>>, Failure> {
    let mut groups = Vec::new();
    for (_, of_resource) in fields(bytes)?.into_iter().filter(|(number, _)| *number == 1) {
        let parts = fields(of_resource)?;
        let resource = first(&parts).and_then(|bytes| decoded::<Resource>(Shape::Resource, bytes));
        let resource = resource.unwrap_or_default();
        for (_, of_scope) in parts.iter().filter(|(number, _)| *number == 2) {
            let group = Group { resource: resource.clone(), ..group(shape, of_scope)? };
            groups.push(group);
        }
    }
    Ok(groups)
}

fn group<T: Message + Default>(shape: Shape, bytes: &[u8]) -> Result<Group<T>, Failure> {
    let parts = fields(bytes)?;
    let scope =
        first(&parts).and_then(|bytes| decoded::<InstrumentationScope>(Shape::Scope, bytes));
    let mut group = Group { scope: scope.unwrap_or_default(), ..Group::default() };
    for (index, (_, item)) in parts.iter().filter(|(number, _)| *number == 2).enumerate() {
        let undecodable = || {
            Failure::new("not_otlp", "the item does not decode")
                .hint("a text in it may not be UTF-8: see the exporter's log")
        };
        if item.len() > MAX_ITEM {
            group.broken.push(Broken::too_large(item, index));
            continue;
        }
        match decoded(shape, item) {
            Some(item) => group.items.push(item),
            None => group.broken.push(Broken::new(item, undecodable(), index)),
        }
    }
    Ok(group)
}

/// A message, if need be with its broken texts masked.
fn decoded<T: Message + Default>(shape: Shape, bytes: &[u8]) -> Option<T> {
    let mended = || T::decode(mended(shape, bytes)?.as_slice()).ok();
    T::decode(bytes).ok().or_else(mended)
}

/// The content of field 1.
fn first<'a>(fields: &[(u64, &'a [u8])]) -> Option<&'a [u8]> {
    fields.iter().find(|(number, _)| *number == 1).map(|(_, bytes)| *bytes)
}

/// Whether the first item of a request has two times of eight bytes where only spans have them.
pub(super) fn begins_with_span(bytes: &[u8]) -> bool {
    let first = |bytes, wanted| {
        fields(bytes).ok()?.into_iter().find(|(number, _)| *number == wanted).map(|(_, part)| part)
    };
    let item = first(bytes, 1).and_then(|of_resource| first(first(of_resource, 2)?, 2));
    let tags = item.and_then(|item| tagged(item).ok()).unwrap_or_default();
    [7, 8].iter().all(|number| tags.iter().any(|(tag, _)| *tag == number << 3 | 1))
}

/// The fields of a message that have a length; others are skipped.
fn fields(bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, Failure> {
    let fields = tagged(bytes)?.into_iter().filter(|(tag, _)| tag & 7 == 2);
    Ok(fields.map(|(tag, content)| (tag >> 3, content)).collect())
}

/// All fields of a message by their tags.
fn tagged(mut bytes: &[u8]) -> Result<Vec<(u64, &[u8])>, Failure> {
    let broken = || Failure::new("not_otlp", "the request is not protobuf");
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let (tag, rest) = varint(bytes).ok_or_else(broken)?;
        let (length, rest) = match tag & 7 {
            0 => varint(rest).map(|(_, rest)| (0, rest)).ok_or_else(broken)?,
            1 => (8, rest),
            2 => varint(rest).ok_or_else(broken)?,
            5 => (4, rest),
            _ => return Err(broken()),
        };
        let length = usize::try_from(length).map_err(|_| broken())?;
        let (content, rest) = rest.split_at_checked(length).ok_or_else(broken)?;
        fields.push((tag, content));
        bytes = rest;
    }
    Ok(fields)
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
