//! Metrics of OTLP in, one [`Metric`](metrics::Metric) row for each data point out.

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::ids::EventId;
use durward_schemas::tables as metrics;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint,
    SummaryDataPoint, exemplar, exponential_histogram_data_point, number_data_point,
};
use prost::Message;
use serde_json::{Map, Value, json};

use super::otlp::{Attributes, Origin, Told, add, add_scope, hex};
use super::{Context, Failure, Format, Reading};
use crate::canonical;
use crate::normalize;

/// What every sort of data point has.
struct Point<'a> {
    attributes: &'a [KeyValue],
    start: u64,
    time: u64,
    exemplars: &'a [Exemplar],
    values: metrics::Metric,
}

/// Reads metrics of one resource and scope.
pub(super) fn read(
    items: Vec<Metric>,
    origin: &Origin,
    context: &Context<'_>,
    reading: &mut Reading,
) {
    for metric in items {
        let Some(data) = &metric.data else {
            reading.rejects.push(context.reject(Format::Otlp, &metric.encode_to_vec(), &no_data()));
            continue;
        };
        let points = points(data);
        reading
            .metrics
            .extend(points.into_iter().map(|point| row(&metric, point, origin, context)));
    }
}

fn no_data() -> Failure {
    Failure::new("no_data", "the metric has no data points of a kind that is known")
        .hint("its kind may be newer than OTLP 1.9")
}

fn points(data: &Data) -> Vec<Point<'_>> {
    match data {
        Data::Gauge(gauge) => {
            gauge.data_points.iter().map(|point| number(point, "gauge", None)).collect()
        }
        Data::Sum(sum) => {
            let temporality = Some(sum.aggregation_temporality);
            sum.data_points.iter().map(|point| number(point, "sum", temporality)).collect()
        }
        Data::Histogram(histogram) => {
            let temporality = histogram.aggregation_temporality;
            histogram.data_points.iter().map(|point| buckets(point, temporality)).collect()
        }
        Data::ExponentialHistogram(histogram) => {
            let temporality = histogram.aggregation_temporality;
            histogram.data_points.iter().map(|point| scales(point, temporality)).collect()
        }
        Data::Summary(summary) => summary.data_points.iter().map(quantiles).collect(),
    }
}

fn number<'a>(point: &'a NumberDataPoint, kind: &str, temporality: Option<i32>) -> Point<'a> {
    let value = point.value.map(|value| match value {
        number_data_point::Value::AsDouble(double) => double,
        #[expect(clippy::cast_precision_loss, reason = "the column is a double")]
        number_data_point::Value::AsInt(integer) => integer as f64,
    });
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        exemplars: &point.exemplars,
        values: metrics::Metric {
            kind: kind.to_owned(),
            value,
            temporality: temporality.map(temporality_name),
            ..metrics::Metric::default()
        },
    }
}

fn buckets(point: &HistogramDataPoint, temporality: i32) -> Point<'_> {
    let buckets = json!({
        "bounds": point.explicit_bounds, "counts": point.bucket_counts,
        "min": point.min, "max": point.max,
    });
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        exemplars: &point.exemplars,
        values: metrics::Metric {
            kind: "histogram".to_owned(),
            temporality: Some(temporality_name(temporality)),
            count: Some(count(point.count)),
            sum: point.sum,
            buckets: Some(Json(canonical::sorted(&buckets))),
            ..metrics::Metric::default()
        },
    }
}

fn scales(point: &ExponentialHistogramDataPoint, temporality: i32) -> Point<'_> {
    let side = |side: Option<&exponential_histogram_data_point::Buckets>| {
        side.map(|side| json!({"offset": side.offset, "counts": side.bucket_counts}))
    };
    let buckets = json!({
        "scale": point.scale, "zero": point.zero_count,
        "zero_threshold": point.zero_threshold, "min": point.min, "max": point.max,
        "positive": side(point.positive.as_ref()), "negative": side(point.negative.as_ref()),
    });
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        exemplars: &point.exemplars,
        values: metrics::Metric {
            kind: "exponential_histogram".to_owned(),
            temporality: Some(temporality_name(temporality)),
            count: Some(count(point.count)),
            sum: point.sum,
            buckets: Some(Json(canonical::sorted(&buckets))),
            ..metrics::Metric::default()
        },
    }
}

fn quantiles(point: &SummaryDataPoint) -> Point<'_> {
    let pair =
        |value: &opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile| {
            json!([value.quantile, value.value])
        };
    let quantiles =
        json!({"quantiles": point.quantile_values.iter().map(pair).collect::<Vec<_>>()});
    Point {
        attributes: &point.attributes,
        start: point.start_time_unix_nano,
        time: point.time_unix_nano,
        exemplars: &[],
        values: metrics::Metric {
            kind: "summary".to_owned(),
            count: Some(count(point.count)),
            sum: Some(point.sum),
            buckets: Some(Json(canonical::sorted(&quantiles))),
            ..metrics::Metric::default()
        },
    }
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn row(
    metric: &Metric,
    point: Point<'_>,
    origin: &Origin,
    context: &Context<'_>,
) -> metrics::Metric {
    let claimed = Time::from_nanos(point.time);
    let timed = normalize::believe_time(claimed, context.received);
    let mut attributes = Attributes::new(point.attributes.to_vec(), context);
    add_scope(&mut attributes, origin);
    let exemplars = point.exemplars.iter().map(|exemplar| exemplar_json(exemplar, context));
    let exemplars: Vec<Value> = exemplars.collect();
    if !exemplars.is_empty() {
        attributes.set("durward.exemplars", exemplars.into());
    }
    let Told { sent, stored } = attributes.told(&timed);
    let mut row = metrics::Metric {
        time: timed.time,
        name: context.keys.redactor().text(&metric.name),
        service: origin.service.clone(),
        unit: Some(metric.unit.clone()).filter(|unit| !unit.is_empty()),
        start_time: start_time(point.start),
        cluster: context.cluster.map(str::to_owned),
        namespace: origin.namespace.clone(),
        pod: origin.pod.clone(),
        pod_uid: origin.pod_uid.clone(),
        attributes: stored,
        resource_attributes: origin.attributes.clone(),
        exemplar_trace_id: point.exemplars.iter().find_map(|exemplar| hex(&exemplar.trace_id)),
        source: context.source.to_owned(),
        ..point.values
    };
    let number = |number: Option<f64>| number.map(|number| number.to_string());
    let told = context.parts_for_ids(&[
        Some(&row.name),
        Some(&row.kind),
        row.unit.as_deref(),
        row.temporality.as_deref(),
        number(row.value).as_deref(),
        row.count.map(|count| count.to_string()).as_deref(),
        number(row.sum).as_deref(),
        row.buckets.as_ref().map(Json::as_str),
        Some(&sent),
        Some(&origin.for_ids),
        Some(&point.start.to_string()),
        Some(&point.time.to_string()),
    ]);
    row.event_id = EventId::of(claimed, context.cluster, told.as_bytes());
    row
}

/// An exemplar: what was measured in which span.
fn exemplar_json(exemplar: &Exemplar, context: &Context<'_>) -> Value {
    let mut fields = Map::new();
    let measured = match exemplar.value {
        Some(exemplar::Value::AsDouble(double)) => json!(double),
        Some(exemplar::Value::AsInt(integer)) => integer.into(),
        None => Value::Null,
    };
    fields.insert("value".to_owned(), measured);
    fields.insert("time".to_owned(), Time::from_nanos(exemplar.time_unix_nano).to_string().into());
    add(&mut fields, "trace_id", hex(&exemplar.trace_id));
    add(&mut fields, "span_id", hex(&exemplar.span_id));
    let filtered = Attributes::new(exemplar.filtered_attributes.clone(), context);
    if !filtered.is_empty() {
        fields.insert("attributes".to_owned(), filtered.into());
    }
    Value::Object(fields)
}

/// When the interval began. Envoy sends microseconds where nanoseconds belong
/// (`../shared/lab/mesh/FACTS.md` 2): a time before 2000 that is after it so read is mended.
fn start_time(nanos: u64) -> Option<Time> {
    let time = Time::from_nanos(nanos);
    let mended = Time(i64::try_from(nanos).unwrap_or(i64::MAX));
    let is_micros = time < Time::EARLIEST_BELIEVED && mended > Time::EARLIEST_BELIEVED;
    (nanos > 0).then_some(if is_micros { mended } else { time })
}

fn temporality_name(temporality: i32) -> String {
    let name = match temporality {
        1 => "delta",
        2 => "cumulative",
        _ => "unspecified",
    };
    name.to_owned()
}
