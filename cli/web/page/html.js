/** Elements as templates: htm over Preact. Whatever is put into one is text, never markup. */
import htm from "../vendor/htm.module.js";
import { Component, h, render } from "../vendor/preact.mjs";

export const html = htm.bind(h);
export { Component, render };

/** A part of the page that is drawn again only when one of its properties is another. */
export class Part extends Component {
  shouldComponentUpdate(next) {
    const names = new Set([...Object.keys(next), ...Object.keys(this.props)]);
    return [...names].some((name) => name !== "children" && next[name] !== this.props[name]);
  }
}
