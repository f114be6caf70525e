/* Copies ids, submits a form once, and loads pictures into the list and the preview. Without it the list has no
   pictures; everything else works. */
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
    const { textContent } = button;
    if (textContent === button.dataset.copied) return;
    const label = button.getAttribute("aria-label");
    button.textContent = button.dataset.copied;
    button.removeAttribute("aria-label");
    setTimeout(() => {
      button.textContent = textContent;
      button.setAttribute("aria-label", label);
    }, 2000);
    button.focus();
  };

  const setDisabled = (form, disabled) => {
    form.querySelectorAll("[type=submit]").forEach((button) => { button.disabled = disabled; });
  };

  const enableAll = () => {
    document.querySelectorAll("[data-migma-once]").forEach((form) => setDisabled(form, false));
  };

  // New frames, since another address in the same frame would add a step to the browser's history.
  const showPreview = (link) => {
    document.querySelectorAll(".migma-views iframe").forEach((frame) => {
      const fresh = frame.cloneNode();
      fresh.src = link.dataset.migmaPreview;
      frame.replaceWith(fresh);
    });
    document.querySelectorAll("[data-migma-preview]").forEach((each) => { each.parentElement.hidden = each === link; });
    document.querySelector("p:not([hidden]) > [data-migma-preview]").focus();
  };

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

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".migma-copy").forEach((button) => { button.hidden = false; });
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
    if (!event.target.matches("[data-migma-once]")) return;
    setDisabled(event.target, true);
    setTimeout(enableAll, TIMEOUT);
  });

  // The browser's Stop button has no event, but its key has one.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") enableAll();
  });

  // The back button may restore the page with its buttons still disabled.
  window.addEventListener("pageshow", enableAll);
})();
