/* On the page "Send a test": says how many tests a press of the button sends, and shows the kind in the preview.
   Without it, a sentence names the limits, and the button "Show" renews the preview. */
"use strict";

(() => {
  // As the server reads them: separated by commas, semicolons and line breaks; each mailbox once.
  const PART = /(?:"[^"\r\n]*"|[^,;\r\n])+/g;

  const countAddresses = (text) => {
    const parts = (text.match(PART) ?? []).map((part) => part.trim()).filter(Boolean);
    return new Set(parts.map((part) => (/<([^<>]*)>$/.exec(part)?.[1] ?? part).toLowerCase())).size;
  };

  const counted = (count, one, many) => (count === 1 ? one : many).replace("#", count);

  const sayProduct = () => {
    const place = document.querySelector("[data-migma-product]");
    const button = document.querySelector("[data-migma-send]");
    const { migmaProduct, emails, address, addresses, test, tests, most, tooMany } = place.dataset;
    const to = countAddresses(document.getElementById("id_addresses").value);
    const total = to * migmaProduct;
    const result = counted(total, test, tests);
    place.textContent = `${emails} × ${counted(to, address, addresses)} = ${result}`;
    if (total > most) place.textContent += `. ${tooMany}`;
    if (!button) return; // nothing can be sent
    button.dataset.plain ??= button.value;
    button.value = total ? button.dataset.migmaSend.replace("%s", result) : button.dataset.plain;
  };

  const showPreview = () => {
    const button = document.querySelector("[data-migma-show]");
    button?.form.requestSubmit(button);
  };

  document.addEventListener("input", (event) => {
    if (event.target.id === "id_addresses") sayProduct();
  });

  document.addEventListener("change", (event) => {
    if (event.target.name === "kind") showPreview();
  });

  document.addEventListener("DOMContentLoaded", () => {
    sayProduct();
    if (document.querySelector("[data-migma-show=now]")) showPreview(); // what was typed is not in the frame's address
  });

  // The back button brings back what was typed, and by then the page has been loaded.
  window.addEventListener("pageshow", sayProduct);
})();
