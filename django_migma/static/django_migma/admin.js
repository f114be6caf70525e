/* Copies texts, submits a form once, renews the preview while values are typed, and loads pictures. Without it the list
   has no pictures, and the button "Show" renews the preview; everything else works. */
"use strict";

(() => {
  const TIMEOUT = 20_000; // milliseconds; longer than any request of ours takes

  // The clipboard needs https, which an internal admin may not have, and the browser may refuse it all the same.
  const fallback = (text) => {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  };

  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return fallback(text);
    }
  };

  const showCopied = (button) => {
    if (button.classList.contains("migma-copied")) return;
    const label = button.getAttribute("aria-label");
    button.classList.add("migma-copied");
    button.setAttribute("aria-label", button.dataset.copied);
    setTimeout(() => {
      button.classList.remove("migma-copied");
      button.setAttribute("aria-label", label);
    }, 2000);
    button.focus();
  };

  const setDisabled = (form, disabled) => {
    [...form.elements].filter((each) => each.type === "submit").forEach((button) => { button.disabled = disabled; });
  };

  const enableAll = () => {
    document.querySelectorAll("[data-migma-once]").forEach((form) => setDisabled(form, false));
  };

  // A new frame, since another address in the same frame would add a step to the browser's history. The old one is
  // seen until the new one has loaded.
  const newFrame = () => {
    const stage = document.querySelector(".migma-stage");
    const frame = stage.lastElementChild;
    const fresh = frame.cloneNode();
    fresh.removeAttribute("src");
    fresh.name = `migma-preview-${++frames}`;
    fresh.classList.add("migma-loading");
    frame.removeAttribute("title");
    frame.ariaHidden = "true"; // two frames of one name would be read out
    frame.tabIndex = -1;
    frame.after(fresh);
    fresh.addEventListener("load", () => {
      fresh.classList.remove("migma-loading");
      while (fresh.previousElementSibling) fresh.previousElementSibling.remove();
    }, { once: true });
    return fresh;
  };
  let frames = 0;

  const showButton = () => document.querySelector("[data-migma-show]");

  const showTexts = async (button) => {
    const url = new URL(button.formAction);
    url.searchParams.set("texts", "1");
    const sent = frames;
    const response = await fetch(url, { method: "POST", body: new FormData(button.form) });
    if (!response.ok || sent !== frames) return;
    Object.entries(await response.json()).forEach(([name, text]) => {
      document.querySelectorAll(`[data-migma-text=${name}]`).forEach((place) => { place.textContent = text || "-"; });
    });
  };

  const showPreview = (link) => {
    const button = showButton();
    if (button) {
      button.formAction = link.dataset.migmaPreview;
      button.form.requestSubmit(button);
    } else {
      newFrame().src = link.dataset.migmaPreview;
    }
    document.querySelector(".migma-alone").href = link.dataset.migmaPreview;
    document.querySelectorAll("[data-migma-preview]").forEach((each) => { each.parentElement.hidden = each === link; });
    document.querySelector("p:not([hidden]) > [data-migma-preview]").focus();
  };

  // Typed values are shown when typing pauses, so the button is for browsers without this script.
  let pause;
  document.addEventListener("input", (event) => {
    const button = showButton();
    if (!button || !event.target.name?.startsWith("value.")) return;
    clearTimeout(pause);
    pause = setTimeout(() => button.form.requestSubmit(button), 300);
  });

  // The switches of the preview stay as they were left, until the tab is closed. A phone begins with its own width.
  const restoreSwitches = () => {
    const narrow = matchMedia("(max-width: 767px)").matches ? "phone" : "desktop";
    const chosen = [sessionStorage.getItem("migma-width") ?? narrow, sessionStorage.getItem("migma-scheme")];
    document.querySelectorAll(".migma-switch input").forEach((input) => { input.checked ||= chosen.includes(input.value); });
  };

  document.addEventListener("change", (event) => {
    if (event.target.matches(".migma-switch input")) sessionStorage.setItem(event.target.name, event.target.value);
  });

  const pictures = () => document.querySelectorAll("[data-migma-picture]");

  const showPictures = () => {
    pictures().forEach((place) => {
      const picture = document.createElement("img");
      Object.assign(picture, {
        className: place.className,
        alt: place.dataset.alt,
        loading: "lazy",
        referrerPolicy: "no-referrer", // before src, which starts the request
        src: place.dataset.migmaPicture,
      });
      place.replaceWith(picture);
    });
  };

  // Saving the page of an email leads to the same page again: to the same place there, with its message in sight.
  const PLACE = "migma-place";

  const keepPlace = (event) => {
    if (!document.querySelector(".migma-preview")) return;
    const kept = event.submitter?.name === "_continue" ? JSON.stringify([location.pathname, scrollY]) : "";
    sessionStorage.setItem(PLACE, kept);
  };

  const returnToPlace = () => {
    const [path, top] = JSON.parse(sessionStorage.getItem(PLACE) || "[]");
    sessionStorage.removeItem(PLACE);
    if (path !== location.pathname || !document.querySelector(".messagelist .success")) return;
    document.body.classList.add("migma-kept");
    scrollTo(0, top);
  };

  document.addEventListener("DOMContentLoaded", () => {
    returnToPlace();
    document.querySelectorAll(".migma-copy").forEach((button) => { button.hidden = false; });
    if (showButton()) showButton().hidden = true;
    document.querySelectorAll("[data-migma-without-script]").forEach((note) => note.remove());
    restoreSwitches();
    document.querySelectorAll("[data-migma-show-pictures]").forEach((item) => { item.hidden = !pictures().length; });
  });

  document.addEventListener("click", (event) => {
    const item = event.target.closest("[data-migma-show-pictures]");
    if (!item) return;
    showPictures();
    item.hidden = true;
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest(".migma-copy");
    if (!button) return;
    if (await copy(button.dataset.copy)) showCopied(button);
    else window.prompt(button.dataset.prompt, button.dataset.copy);
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("[data-migma-preview]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    showPreview(link);
  });

  document.addEventListener("submit", (event) => {
    if (event.submitter?.matches("[data-migma-show]")) {
      event.submitter.formTarget = newFrame().name;
      showTexts(event.submitter).catch(() => {}); // the frame says more about an error
      return;
    }
    keepPlace(event);
    if (!event.target.matches("[data-migma-once]")) return;
    setDisabled(event.target, true);
    setTimeout(enableAll, TIMEOUT);
  });

  // Enter in a sample shows it, as if typing had paused; it does not save the page.
  document.addEventListener("keydown", (event) => {
    const button = showButton();
    if (event.key !== "Enter" || !button || !event.target.matches("input[name^='value.']")) return;
    event.preventDefault();
    button.form.requestSubmit(button);
  });

  // The browser's Stop button has no event, but its key has one.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") enableAll();
  });

  // The back button may restore the page with its buttons still disabled.
  window.addEventListener("pageshow", enableAll);
})();
