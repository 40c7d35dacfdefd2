//! Visualizations: the types that have been the same since long before
//! OpenSearch (histogram, pie, table, metric, markdown, input_control_vis).

use serde_json::{Value, json};

use crate::{
    INDEX, lucene,
    pattern::checked,
    reference,
    source::{Chart, Kind, Labelled, Measure, Pattern, SourceError, Split, Values, What},
    text_of,
};

pub(crate) fn object(chart: &Chart, pattern: &Pattern) -> Result<Value, SourceError> {
    check_fields(chart)?;
    let (kind, params, aggs) = match chart.kind {
        Kind::Bars => bars(chart, pattern)?,
        Kind::Pie => ("pie", pie(), gathered(chart, "segment")?),
        Kind::Table => ("table", table(), gathered(chart, "bucket")?),
        Kind::Numbers => ("metric", numbers(), measures(chart)),
        Kind::Text => {
            let text = chart.text.as_deref().ok_or(missing(chart, "text"))?;
            let params = json!({ "fontSize": 12, "openLinksInNewTab": false, "markdown": text });
            ("markdown", params, Vec::new())
        }
        Kind::Choice => ("input_control_vis", choice(chart)?, Vec::new()),
    };
    let state = json!({ "title": chart.title, "type": kind, "params": params, "aggs": aggs });
    let mut searched = json!({ "query": lucene(&chart.query), "filter": [] });
    let references = match chart.kind {
        Kind::Text => Vec::new(),
        Kind::Choice => (0..chart.fields.len())
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
            "visState": text_of(&state),
            "uiStateJSON": "{}",
            "version": 1,
            "kibanaSavedObjectMeta": { "searchSourceJSON": text_of(&searched) },
        },
        "references": references,
        "migrationVersion": { "visualization": "7.10.0" },
    }))
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bars => "bars",
        Kind::Pie => "pie",
        Kind::Table => "table",
        Kind::Numbers => "numbers",
        Kind::Text => "text",
        Kind::Choice => "choice",
    }
}

fn missing(chart: &Chart, needs: &'static str) -> SourceError {
    SourceError::Incomplete {
        id: chart.id.clone(),
        kind: name(chart.kind),
        needs,
    }
}

fn check_fields(chart: &Chart) -> Result<(), SourceError> {
    let of = format!("chart {}", chart.id);
    for measure in chart.all_measures() {
        match (&measure.field, measure.what) {
            (None, What::Count) => {}
            (Some(field), what) if what != What::Count => checked(&of, field, true)?,
            _ => return Err(missing(chart, "measures with a field, and counts without")),
        }
    }
    let split = match &chart.split {
        Some(Split::Values(values)) => Some(values),
        _ => None,
    };
    for values in chart.rows.iter().chain(split) {
        checked(&of, &values.field, true)?;
        if values.by == 0 || chart.all_measures().count() < values.by {
            return Err(missing(chart, "a measure of the number in `by`"));
        }
    }
    chart
        .fields
        .iter()
        .try_for_each(|chosen| checked(&of, &chosen.field, true))
}

/// The measures, with their numbers as ids.
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

fn agg(id: usize, kind: &str, place: &str, params: Value) -> Value {
    json!({ "id": id.to_string(), "enabled": true, "type": kind, "schema": place, "params": params })
}

fn terms(values: &Values) -> Value {
    let mut params = json!({
        "field": values.field, "orderBy": values.by.to_string(), "order": "desc", "size": values.most,
        "otherBucket": false, "otherBucketLabel": "Other", "missingBucket": false, "missingBucketLabel": "Missing",
    });
    if let Some(label) = &values.label {
        params["customLabel"] = label.as_str().into();
    }
    params
}

/// Measures by the values of `rows`.
fn gathered(chart: &Chart, place: &str) -> Result<Vec<Value>, SourceError> {
    let mut aggs = measures(chart);
    if aggs.is_empty() || chart.rows.is_empty() {
        return Err(missing(chart, "`rows`, and `measure` or `measures`"));
    }
    for values in &chart.rows {
        aggs.push(agg(aggs.len() + 1, "terms", place, terms(values)));
    }
    Ok(aggs)
}

fn bars(chart: &Chart, pattern: &Pattern) -> Result<(&'static str, Value, Vec<Value>), SourceError> {
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

fn choice(chart: &Chart) -> Result<Value, SourceError> {
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
