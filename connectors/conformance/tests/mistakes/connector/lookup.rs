//! Finds the account that a task or a lookup identifies.

use super::*;

impl Reference {
    /// Searches for a user by a field.
    pub(super) async fn search(&self, field: &str, value: &str) -> Result<Option<User>, Error> {
        let what = format!("User {value} cannot be looked for");
        let value = if self.has(NamesAreTrimmed) { value.trim() } else { value };
        let value = if self.has(DomainIsIgnored) { value.split('@').next().unwrap_or(value) } else { value };
        let folded = match (self.mistake, value.split_once('@')) {
            (Some(PlusTagIsIgnored), Some((local, domain))) => {
                Some(format!("{}@{domain}", local.split('+').next().unwrap_or_default()))
            }
            (Some(DotsAreIgnored), Some((local, domain))) => {
                Some(format!("{}@{domain}", local.replace('.', "")))
            }
            (Some(AccentsAreIgnored), _) => {
                let plain = |letter| match letter {
                    'à'..='å' => 'a',
                    'è'..='ë' => 'e',
                    'ò'..='ö' => 'o',
                    'ù'..='ü' => 'u',
                    'ķ' => 'k',
                    other => other,
                };
                Some(value.chars().map(plain).collect())
            }
            (Some(RealmIsIgnored), Some((local, _))) if field == "username" => Some(local.to_owned()),
            (Some(RealmIsIgnored), None) if field == "username" => {
                value.rsplit('\\').next().map(str::to_owned)
            }
            _ => None,
        };
        let value = folded.as_deref().unwrap_or(value);
        if self.has(EmailFindsNobody) && field == "email" {
            return Ok(None);
        }
        let by_part = self.any(&[
            SubstringFirstHit,
            PrefixFirstHit,
            FirstHitOrNobody,
            DomainIsIgnored,
            SuffixOfEmail,
            LongestHit,
        ]);
        let query = if by_part { [("q", value)] } else { [(field, value)] };
        let pattern = value.strip_suffix('*').filter(|_| self.has(LookUpByPattern));
        let query = pattern.map_or(query, |begin| [("q", begin)]);
        let answer = self.ask(Method::GET, self.url(&["users"], &query), None).await;
        let answer = match answer {
            Err(_) if self.has(FindErrorIsNobody) => return Ok(None),
            other => other?,
        };
        let status = answer.status().as_u16();
        let nobody = match status {
            204 => self.has(NoContentIsNobody),
            200..300 => false,
            300..400 => self.has(RedirectIsNobody),
            410 => self.has(GoneIsNobody),
            403 => self.any(&[Find403IsNobody, FindErrorIsNobody]),
            404 => self.any(&[Find404IsNobody, FindErrorIsNobody]),
            429 => self.any(&[Find429IsNobody, FindErrorIsNobody]),
            500.. => self.any(&[Find5xxIsNobody, FindErrorIsNobody]),
            _ => self.has(FindErrorIsNobody),
        };
        if nobody {
            return Ok(None);
        }
        if !(200..300).contains(&status) {
            return Err(self.refusal(&answer, &what));
        }
        let found: Value = match answer.json() {
            Err(_) if answer.body().is_empty() && self.has(FindEmptyBodyIsNobody) => return Ok(None),
            Err(_) if self.has(FindHtmlIsNobody) => return Ok(None),
            Ok(Value::Null) if self.has(NullIsNobody) => return Ok(None),
            other => other?,
        };
        let users = match found["users"].as_array() {
            Some(users) => users.as_slice(),
            None if self.has(FindErrorInBodyIsNobody) => EMPTY,
            None => {
                return Err(Error::new(
                    Code::InternalError,
                    format!("{what}: the help desk answered something else than users"),
                ));
            }
        };
        let is = |user: &User| {
            let held = user.get(field).and_then(Value::as_str).unwrap_or_default();
            let by_case =
                self.has(EmailByCase) && field == "email" || self.has(UsernameByCase) && field == "username";
            if by_case { held == value } else { held.to_lowercase() == value.to_lowercase() }
        };
        let mut users = users
            .iter()
            .filter_map(Value::as_object)
            .filter(|user| !self.has(SearchHidesTheSuspended) || user.get("active") != Some(&json!(false)));
        let text = |user: &User, field: &str| {
            user.get(field).and_then(Value::as_str).unwrap_or_default().to_lowercase()
        };
        Ok(match self.mistake {
            Some(SubstringFirstHit | DomainIsIgnored) => users.next(),
            Some(LookUpByPattern) if pattern.is_some() => users.next(),
            Some(PrefixFirstHit) => users.find(|user| text(user, field).starts_with(&value.to_lowercase())),
            Some(SuffixOfEmail) => users.find(|user| text(user, field).ends_with(&value.to_lowercase())),
            Some(LongestHit) => users.max_by_key(|user| text(user, field).len()),
            Some(FirstHitOrNobody) => users.next().filter(|user| is(user)),
            _ => users.find(|user| is(user)),
        }
        .cloned())
    }

    pub(super) async fn by_id(&self, id: &str) -> Result<Option<User>, Error> {
        // Even if escaped, these cannot be path segments.
        if matches!(id, "." | "..") && !self.has(PathIsNotEscaped) {
            return Ok(None);
        }
        let what = format!("User {id} cannot be looked for");
        let answer = self.ask(Method::GET, self.url(&["users", id], &[]), None).await;
        let answer = match answer {
            Err(_) if self.has(FindErrorIsNobody) => return Ok(None),
            other => other?,
        };
        match answer.status().as_u16() {
            404 => Ok(None),
            403 if self.any(&[Find403IsNobody, FindErrorIsNobody]) => Ok(None),
            _ if !answer.status().is_success() && self.has(FindErrorIsNobody) => Ok(None),
            200..300 => {
                let user: Value = match answer.json() {
                    Err(_) if self.any(&[FindHtmlIsNobody, FindErrorIsNobody]) => return Ok(None),
                    other => other?,
                };
                let mut user = user.as_object().cloned().unwrap_or_default();
                if !user.contains_key("id") && !self.has(FindErrorInBodyIsNobody) {
                    return Err(Error::new(
                        Code::InternalError,
                        format!("{what}: the help desk answered something else than a user"),
                    ));
                }
                if self.any(&[TeamErrorIsNoTeam]) {
                    let teams = self.get(&what, self.url(&["users", id, "teams"], &[])).await;
                    user.insert(
                        "teams".to_owned(),
                        teams.map(|teams| teams["teams"].clone()).unwrap_or_default(),
                    );
                }
                Ok(user.contains_key("id").then_some(user))
            }
            _ => Err(self.refusal(&answer, &what)),
        }
    }

    /// The account that a task or a lookup identifies: by identifier, otherwise by user name, otherwise by email.
    pub(super) async fn find(&self, account: &Account) -> Result<Option<User>, Error> {
        let key = account.label().to_owned();
        let caches = self.any(&[CacheOfOwnWrites, CacheOfNobody]);
        if caches && let Some(found) = self.cache.lock().unwrap().get(&key) {
            return Ok(found.clone());
        }
        let (id, username, email) =
            (account.id.as_ref(), account.username.as_deref(), account.email.as_deref());
        let found = match (id, username, email) {
            (Some(_), Some(username), _) if self.has(NameBeforeId) => {
                self.search("username", username).await?
            }
            (_, Some(username), Some(email)) if self.has(EmailBeforeName) && id.is_none() => {
                match self.search("email", email).await? {
                    None => self.search("username", username).await?,
                    found => found,
                }
            }
            (Some(id), ..) => match self.by_id(id.as_str()).await? {
                None if self.has(GoneIdFallsBackToName) && username.is_some() => {
                    self.search("username", username.unwrap_or_default()).await?
                }
                None if self.has(GoneIdFallsBackToEmail) && email.is_some() => {
                    self.search("email", email.unwrap_or_default()).await?
                }
                None if self.has(IdMayBeAName) => self.search("username", id.as_str()).await?,
                found => found,
            },
            (None, Some(username), email) => match self.search("username", username).await? {
                None if self.has(NameOrEmail) && email.is_some() => {
                    self.search("email", email.unwrap_or_default()).await?
                }
                found => found,
            },
            (None, None, Some(email)) => self.search("email", email).await?,
            (None, None, None) => None,
        };
        if caches && (found.is_some() || self.has(CacheOfNobody)) {
            self.cache.lock().unwrap().insert(key, found.clone());
        }
        Ok(found)
    }

    /// The identifier of the account that a task identifies.
    pub(super) async fn meant(&self, account: &Account) -> Result<String, Error> {
        let missing =
            || Error::account_not_found(format!("User {} is not at the help desk", account.label()));
        if self.has(ActsByIdAlone) && account.id.is_none() && account.username.is_none() {
            return Err(missing());
        }
        let found = match self.find(account).await {
            Err(_) if self.has(AnyErrorIsMissing) => None,
            other => other?,
        };
        let found = found.ok_or_else(missing)?;
        Ok(found["id"].as_str().unwrap_or_default().to_owned())
    }
}
