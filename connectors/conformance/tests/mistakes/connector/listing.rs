//! Lists resources page by page.

use super::*;

impl Reference {
    /// A page of any resource type, and the start of the next one.
    pub(super) async fn page(
        &self,
        of: &ResourceType,
        kind: &str,
        after: &str,
    ) -> Result<(Vec<Value>, Option<String>, Value), Error> {
        let (what, size) = (format!("{kind} cannot be listed"), self.page.to_string());
        let offset = self.any(&[OffsetPaging, OffsetByWhatWasAsked, ShortPageIsAnEnd]) && kind == "users";
        let mut query = vec![("limit", size.as_str())];
        query.push(if offset {
            ("offset", if after.is_empty() { "0" } else { after })
        } else {
            ("after", after)
        });
        if self.has(PageWithoutBound) {
            query.push(("all", "1"));
        }
        let answer = self.ask(Method::GET, self.url(&[kind], &query), None).await;
        let nothing = || Ok((Vec::new(), None, Value::Null));
        let later = !after.is_empty();
        let answer = match answer {
            Err(_) if self.any(&[CutIsAnEnd, AnyErrorIsAnEnd]) => return nothing(),
            other => other?,
        };
        let status = answer.status().as_u16();
        let ends = match status {
            204 => self.has(NoContentIsAnEnd),
            200..300 => false,
            _ if self.has(AnyErrorIsAnEnd) => true,
            _ if self.has(LaterErrorIsAnEnd) => later,
            _ if self.has(GroupErrorIsAnEnd) => of.kind != ResourceKind::Account,
            300..400 => self.has(RedirectIsAnEnd),
            400 => self.has(Page400IsAnEnd),
            410 => self.has(Page410IsAnEnd),
            504 if self.has(GatewayTimeoutIsAnEnd) => true,
            401 => self.has(Page401IsAnEnd),
            403 => self.has(Page403IsAnEnd),
            404 => self.has(Page404IsAnEnd),
            429 => self.has(Page429IsAnEnd),
            503 => self.any(&[Page503IsAnEnd, Page5xxIsAnEnd]),
            500.. => self.has(Page5xxIsAnEnd),
            _ => false,
        };
        if ends {
            return nothing();
        }
        if !answer.status().is_success() {
            return Err(self.refusal(&answer, &what));
        }
        let page: Value = match answer.json() {
            Err(_) if answer.body().is_empty() && self.has(EmptyBodyIsAnEnd) => return nothing(),
            Err(_) if !answer.body().is_empty() && self.has(HtmlIsAnEnd) => return nothing(),
            Ok(Value::Null) if self.has(NullIsAnEnd) => return nothing(),
            other => other?,
        };
        let Some(records) = page[kind].as_array() else {
            if self.has(ErrorInBodyIsAnEnd) {
                return nothing();
            }
            return Err(Error::incomplete_listing(format!("{what}: the help desk answered something else")));
        };
        let mut records = records.clone();
        let next = match self.mistake {
            Some(ShortPageIsAnEnd) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + records.len();
                (records.len() >= self.page).then(|| at.to_string())
            }
            Some(OffsetPaging) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + records.len();
                (!records.is_empty()).then(|| at.to_string())
            }
            Some(OffsetByWhatWasAsked) if offset => {
                let at = after.parse::<usize>().unwrap_or_default() + self.page;
                (!records.is_empty()).then(|| at.to_string())
            }
            _ => page["next"].as_str().map(str::to_owned),
        };
        if self.has(FullPageIsLost) && records.len() == self.page && next.is_none() {
            records.clear();
        }
        if self.has(LastOfManyIsLost) && records.len() == 1 && later {
            records.clear();
        }
        if self.has(LastPageIsLost) && next.is_none() && later {
            records.clear();
        }
        if self.has(PageLosesItsLast) && next.is_some() {
            records.pop();
        }
        if self.has(RecordsComeTwice)
            && let Some(first) = records.first().cloned()
        {
            records.push(first);
        }
        let total = if self.has(TotalIsTooLarge) {
            json!(page["total"].as_u64().unwrap_or_default() + 1)
        } else {
            page["total"].clone()
        };
        Ok((records, next, total))
    }
}
