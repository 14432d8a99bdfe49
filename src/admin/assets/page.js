// Updates a page: when the daemon reports a change, the page is loaded again and its contents are replaced.
// Everything on the page works without this script.
(() => {
  "use strict";
  const main = document.querySelector("main[data-live]");
  if (!main || !window.EventSource || !window.DOMParser) return;
  const said = document.getElementById("said");
  let busy = false;
  let again = false;

  // Does not replace a form that is being filled in, or rows that are selected.
  const inUse = () => {
    const active = document.activeElement;
    const typing = active && main.contains(active) && active.matches("input, select, textarea");
    return typing || main.querySelector("input[type=checkbox]:checked") !== null;
  };

  const mark = (element) => element && (element.id ? `#${CSS.escape(element.id)}`
    : element.getAttribute("href") ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : null);

  const renew = async () => {
    if (busy) { again = true; return; }
    if (inUse() || document.hidden) { again = true; return; }
    busy = true;
    again = false;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const next = fresh.querySelector("main[data-live]");
      if (!next || inUse()) return;
      const open = [...main.querySelectorAll("details[open][id]")].map((one) => one.id);
      const active = document.activeElement;
      const focused = active && main.contains(active) ? mark(active) : null;
      const verdict = document.title;
      main.replaceChildren(...next.childNodes);
      document.title = fresh.title;
      for (const id of open) {
        const one = document.getElementById(id);
        if (one) one.open = true;
      }
      if (focused) {
        const one = main.querySelector(focused);
        if (one) one.focus({ preventScroll: true });
      }
      // Screen readers announce only what matters.
      if (said && document.title !== verdict) said.textContent = document.title;
    } catch {
      // The next event retries.
    } finally {
      busy = false;
    }
  };

  let known = null;
  const events = new EventSource("/events");
  events.addEventListener("changed", (event) => {
    const is = event.data;
    if (known !== null && known !== is) renew();
    known = is;
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && again) renew(); });
  main.addEventListener("focusout", () => setTimeout(() => { if (again) renew(); }, 500));
  window.addEventListener("pagehide", () => events.close());
})();
