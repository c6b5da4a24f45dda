// Shows the OpenAPI document. Nothing is sent by the viewer: an answer of a stream has no end, and a validator is somebody else.
'use strict';

const dark = matchMedia('(prefers-color-scheme: dark)');

/** The viewer has a class for dark pages. */
function applyColors() {
    document.documentElement.classList.toggle('dark-mode', dark.matches);
}

applyColors();
dark.addEventListener('change', applyColors);

SwaggerUIBundle({
    url: '?spec=3.2',
    dom_id: '#document',
    // Links inside of buttons cannot be reached by all.
    deepLinking: false,
    docExpansion: 'list',
    defaultModelsExpandDepth: 0,
    displayRequestDuration: false,
    supportedSubmitMethods: [],
    validatorUrl: null,
    queryConfigEnabled: false,
    presets: [SwaggerUIBundle.presets.apis],
    layout: 'BaseLayout',
});

/** Adds what keyboards and screen readers need, and the viewer leaves out: again after each change, since it draws what is opened. */
function complete() {
    for (const example of page.querySelectorAll('.highlight-code > pre:not([tabindex])')) {
        example.tabIndex = 0;
    }
    for (const select of page.querySelectorAll('select:not([aria-label])')) {
        select.setAttribute('aria-label', select.closest('[data-param-name]')?.dataset.paramName ?? 'Media type');
    }
}

const page = document.getElementById('document');
new MutationObserver(complete).observe(page, {childList: true, subtree: true});
