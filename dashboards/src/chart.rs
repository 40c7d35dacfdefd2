//! Visualizations of the types that have been stable since before OpenSearch: histogram, pie, table, metric, markdown,
//! input_control_vis.

use serde_json::{Value, json};

use crate::{
    INDEX, json_string, lucene,
    pattern::check_field,
    reference,
    source::{
        Chart, ChartKind, DashboardSourceError, IndexPattern, Labelled, Measure, MeasureKind, Split,
        TopValues,
    },
};

pub(crate) fn object(chart: &Chart, pattern: &IndexPattern) -> Result<Value, DashboardSourceError> {
    check_fields(chart)?;
    let (kind, params, aggs) = match chart.kind {
        ChartKind::Bars => bars(chart, pattern)?,
        ChartKind::Pie => ("pie", pie(), grouped(chart, "segment")?),
        ChartKind::Table => ("table", table(), grouped(chart, "bucket")?),
        ChartKind::Numbers => ("metric", numbers(), measures(chart)),
        ChartKind::Text => {
            let text = chart.text.as_deref().ok_or(missing(chart, "text"))?;
            let params = json!({ "fontSize": 12, "openLinksInNewTab": false, "markdown": text });
            ("markdown", params, Vec::new())
        }
        ChartKind::Choice => ("input_control_vis", choice(chart)?, Vec::new()),
    };
    let state = json!({ "title": chart.title, "type": kind, "params": params, "aggs": aggs });
    let mut searched = json!({ "query": lucene(&chart.query), "filter": [] });
    let references = match chart.kind {
        ChartKind::Text => Vec::new(),
        ChartKind::Choice => (0..chart.fields.len())
            .map(|number| reference(&control(number), "index-pattern", &pattern.id))
            .collect(),
        _ => {
            searched["indexRefName"] = INDEX.into();
            vec![reference(INDEX, "index-pattern", &pattern.id)]
        }
    };
    Ok(json!({
        "id": chart.id,
        "type": "visualization",
        "attributes": {
            "title": chart.title,
            "description": "",
            "visState": json_string(&state),
            "uiStateJSON": "{}",
            "version": 1,
            "kibanaSavedObjectMeta": { "searchSourceJSON": json_string(&searched) },
        },
        "references": references,
        "migrationVersion": { "visualization": "7.10.0" },
    }))
}

const fn name(kind: ChartKind) -> &'static str {
    match kind {
        ChartKind::Bars => "bars",
        ChartKind::Pie => "pie",
        ChartKind::Table => "table",
        ChartKind::Numbers => "numbers",
        ChartKind::Text => "text",
        ChartKind::Choice => "choice",
    }
}

fn missing(chart: &Chart, needs: &'static str) -> DashboardSourceError {
    DashboardSourceError::Incomplete {
        id: chart.id.clone(),
        kind: name(chart.kind),
        needs,
    }
}

fn check_fields(chart: &Chart) -> Result<(), DashboardSourceError> {
    let of = format!("chart {}", chart.id);
    for measure in chart.all_measures() {
        match (&measure.field, measure.what) {
            (None, MeasureKind::Count) => {}
            (Some(field), what) if what != MeasureKind::Count => check_field(&of, field, true)?,
            _ => return Err(missing(chart, "measures with a field, and counts without")),
        }
    }
    let split = match &chart.split {
        Some(Split::Values(values)) => Some(values),
        _ => None,
    };
    for values in chart.rows.iter().chain(split) {
        check_field(&of, &values.field, true)?;
        if values.by == 0 || chart.all_measures().count() < values.by {
            return Err(missing(chart, "a measure of the number in `by`"));
        }
    }
    chart
        .fields
        .iter()
        .try_for_each(|chosen| check_field(&of, &chosen.field, true))
}

/// The measures. Their numbers are their ids.
fn measures(chart: &Chart) -> Vec<Value> {
    let one = |(number, measure): (usize, &Measure)| {
        let mut params = json!({ "customLabel": measure.label });
        if let Some(field) = &measure.field {
            params["field"] = field.as_str().into();
        }
        agg(number + 1, measure.what.name(), "metric", params)
    };
    chart.all_measures().enumerate().map(one).collect()
}

fn agg(id: usize, kind: &str, schema: &str, params: Value) -> Value {
    json!({ "id": id.to_string(), "enabled": true, "type": kind, "schema": schema, "params": params })
}

fn terms(values: &TopValues) -> Value {
    let mut params = json!({
        "field": values.field, "orderBy": values.by.to_string(), "order": "desc", "size": values.most,
        "otherBucket": false, "otherBucketLabel": "Other", "missingBucket": false, "missingBucketLabel": "Missing",
    });
    if let Some(label) = &values.label {
        params["customLabel"] = label.as_str().into();
    }
    params
}

/// The measures for each value of `rows`.
fn grouped(chart: &Chart, schema: &str) -> Result<Vec<Value>, DashboardSourceError> {
    let mut aggs = measures(chart);
    if aggs.is_empty() || chart.rows.is_empty() {
        return Err(missing(chart, "`rows`, and `measure` or `measures`"));
    }
    for values in &chart.rows {
        aggs.push(agg(aggs.len() + 1, "terms", schema, terms(values)));
    }
    Ok(aggs)
}

fn bars(
    chart: &Chart,
    pattern: &IndexPattern,
) -> Result<(&'static str, Value, Vec<Value>), DashboardSourceError> {
    let measure = chart.measure.as_ref().ok_or(missing(chart, "`measure`"))?;
    let mut aggs = measures(chart);
    aggs.push(agg(
        2,
        "date_histogram",
        "segment",
        json!({
            "field": pattern.time_field, "useNormalizedOpenSearchInterval": true, "scaleMetricValues": false,
            "interval": "auto", "drop_partials": false, "min_doc_count": 1, "extended_bounds": {},
        }),
    ));
    match &chart.split {
        Some(Split::Values(values)) => aggs.push(agg(3, "terms", "group", terms(values))),
        Some(Split::Filters { filters }) => {
            let filters: Vec<Value> = filters
                .iter()
                .map(|filter| json!({ "input": lucene(&filter.query), "label": filter.label }))
                .collect();
            aggs.push(agg(3, "filters", "group", json!({ "filters": filters })));
        }
        None => {}
    }
    let mode = if chart.share { "percentage" } else { "normal" };
    let params = json!({
        "type": "histogram",
        "grid": { "categoryLines": false },
        "categoryAxes": [{
            "id": "CategoryAxis-1", "type": "category", "position": "bottom", "show": true, "style": {},
            "scale": { "type": "linear" }, "labels": { "show": true, "filter": true, "truncate": 100 }, "title": {},
        }],
        "valueAxes": [{
            "id": "ValueAxis-1", "name": "LeftAxis-1", "type": "value", "position": "left", "show": true, "style": {},
            "scale": { "type": "linear", "mode": mode },
            "labels": { "show": true, "rotate": 0, "filter": false, "truncate": 100 },
            "title": { "text": measure.label },
        }],
        "seriesParams": [{
            "show": true, "type": "histogram", "mode": "stacked", "data": { "label": measure.label, "id": "1" },
            "valueAxis": "ValueAxis-1", "drawLinesBetweenPoints": true, "lineWidth": 2, "showCircles": true,
        }],
        "addTooltip": true, "addLegend": true, "legendPosition": "right", "times": [], "addTimeMarker": false,
        "labels": { "show": false },
        "thresholdLine": { "show": false, "value": 10, "width": 1, "style": "full", "color": "#E7664C" },
    });
    Ok(("histogram", params, aggs))
}

fn pie() -> Value {
    json!({
        "type": "pie", "addTooltip": true, "addLegend": true, "legendPosition": "right", "isDonut": true,
        "labels": { "show": true, "values": true, "last_level": true, "truncate": 100 },
    })
}

fn table() -> Value {
    json!({
        "perPage": 10, "showPartialRows": false, "showMetricsAtAllLevels": false, "showTotal": false,
        "totalFunc": "sum", "percentageCol": "",
    })
}

fn numbers() -> Value {
    json!({
        "addTooltip": true, "addLegend": false, "type": "metric",
        "metric": {
            "percentageMode": false, "useRanges": false, "colorSchema": "Green to Red", "metricColorMode": "None",
            "colorsRange": [{ "from": 0, "to": 10_000 }], "labels": { "show": true }, "invertColors": false,
            "style": { "bgFill": "#000", "bgColor": false, "labelColor": false, "subText": "", "fontSize": 24 },
        },
    })
}

fn control(number: usize) -> String {
    format!("control_{number}_index_pattern")
}

fn choice(chart: &Chart) -> Result<Value, DashboardSourceError> {
    if chart.fields.is_empty() {
        return Err(missing(chart, "`fields`"));
    }
    let one = |(number, chosen): (usize, &Labelled)| {
        json!({
            "id": format!("{}-{number}", chart.id), "indexPatternRefName": control(number),
            "fieldName": chosen.field, "label": chosen.label, "parent": "", "type": "list",
            "options": { "type": "terms", "multiselect": true, "dynamicOptions": true, "size": 10, "order": "desc" },
        })
    };
    let controls: Vec<Value> = chart.fields.iter().enumerate().map(one).collect();
    Ok(
        json!({ "controls": controls, "updateFiltersOnChange": true, "useTimeFilter": true, "pinFilters": false }),
    )
}
