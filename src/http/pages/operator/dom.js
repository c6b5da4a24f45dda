// A description of elements, and the changes that make the page equal to it. Elements that are still wanted stay as they are, with
// their focus, their selection and their open parts.

const SVG = new Set(['svg', 'path', 'rect', 'circle', 'polyline', 'polygon', 'line']);

/**
 * Describes an element. Of its properties, `key` tells it from its siblings, `on` has listeners, `once` has attributes that are set
 * when it is created and never again, and all others are attributes.
 */
export function h(tag, props, ...children) {
    return {tag, props: props ?? {}, children: children.flat(Infinity).filter(isThere)};
}

/** Makes the children of `parent` what is described. */
export function patch(parent, ...described) {
    const wanted = described.flat(Infinity).filter(isThere);
    const keyed = new Map();
    const others = [];
    for (const node of parent.childNodes) {
        if (node.ownKey === undefined) {
            others.push(node);
        } else {
            keyed.set(node.ownKey, node);
        }
    }
    const nodes = wanted.map((child) => taken(child, keyed, others) ?? created(child));
    const kept = new Set(nodes);
    // Before the rest is ordered, so that what stays is not moved for what goes.
    for (const node of [...parent.childNodes]) {
        if (!kept.has(node)) {
            node.remove();
        }
    }
    let next = parent.firstChild;
    nodes.forEach((node, index) => {
        if (node === next) {
            next = next.nextSibling;
        } else {
            parent.insertBefore(node, next);
        }
        update(node, wanted[index]);
    });
}

function isThere(child) {
    return child !== null && child !== undefined && child !== false && child !== '';
}

/** Returns the element that is there for this description, and takes it out of the lists. */
function taken(child, keyed, others) {
    const key = child.props?.key;
    if (key !== undefined) {
        const node = keyed.get(key);
        keyed.delete(key);
        return node?.localName === child.tag ? node : undefined;
    }
    const fits = (node) => (child.tag ? node.localName === child.tag : node.nodeType === Node.TEXT_NODE);
    const index = others.findIndex(fits);
    return index < 0 ? undefined : others.splice(index, 1)[0];
}

function created(child) {
    if (!child.tag) {
        return document.createTextNode('');
    }
    const node = SVG.has(child.tag)
        ? document.createElementNS('http://www.w3.org/2000/svg', child.tag)
        : document.createElement(child.tag);
    node.ownKey = child.props.key;
    for (const [name, value] of Object.entries(child.props.once ?? {})) {
        node.setAttribute(name, value);
    }
    return node;
}

function update(node, child) {
    if (!child.tag) {
        const text = String(child);
        if (node.data !== text) {
            node.data = text;
        }
        return;
    }
    const before = node.ownProps ?? {};
    for (const name of Object.keys(before)) {
        if (isAttribute(name) && !isThere(child.props[name])) {
            node.removeAttribute(name);
        }
    }
    for (const [name, value] of Object.entries(child.props)) {
        if (isAttribute(name) && isThere(value) && before[name] !== value) {
            node.setAttribute(name, value === true ? '' : value);
        }
    }
    for (const type of Object.keys(child.props.on ?? {})) {
        if (!before.on?.[type]) {
            node.addEventListener(type, (event) => node.ownProps.on?.[type]?.(event));
        }
    }
    node.ownProps = child.props;
    patch(node, child.children);
}

function isAttribute(name) {
    return name !== 'key' && name !== 'on' && name !== 'once';
}
