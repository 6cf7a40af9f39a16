/** What keys do; the help is made from this table. */

export const KEYS = [
  { key: "/", action: "search", help: "search for a user" },
  { key: "ArrowDown", shown: "↓", also: "j", action: "next", help: "the next user" },
  { key: "ArrowUp", shown: "↑", also: "k", action: "previous", help: "the user before" },
  { key: "Enter", shown: "Enter", action: "open", help: "show the user, or the receipt of a kill" },
  { key: "Escape", shown: "Esc", action: "back", help: "back to all users, out of a window" },
  { key: "p", action: "pause", help: "stand still, and go on" },
  { key: "t", action: "theme", help: "light, dark, or as the system has it" },
  { key: "?", action: "help", help: "this list" },
];

/** What a key does; undefined: nothing, or the browser's own. @param event Of the keyboard. */
export function actionOf({ key, ctrlKey, altKey, metaKey, target }) {
  if (ctrlKey || altKey || metaKey) return undefined;
  const isTyping = target !== null && /^(input|textarea|select)$/i.test(target.tagName ?? "");
  const found = KEYS.find((one) => one.key === key || one.also === key);
  if (found === undefined || found.action === "open") return undefined;
  if (isTyping && !["back", "next", "previous"].includes(found.action)) return undefined;
  // In a text, letters are letters.
  return isTyping && key.length === 1 ? undefined : found.action;
}
