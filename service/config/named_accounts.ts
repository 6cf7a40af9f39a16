/**
 * Settings that name a user to run as, or a group: the names looked up, and defaults put in.
 *
 * @module
 */
import { didYouMean } from "../../pipeline/limits/did_you_mean.ts";
import { FormatError, quote } from "../../pipeline/limits/units.ts";
import type { ConfigHost } from "./lookups.ts";
import type {
  Account,
  HookName,
  HookSetting,
  MailSetting,
  ReadGroup,
  WebhookSetting,
} from "./notify_settings.ts";
import type { ConfigValues } from "./options.ts";
import { AbsentError, PassingError } from "./passing_error.ts";
import type { ConfigContent } from "./schema.ts";

type Hook = NonNullable<NonNullable<ConfigContent["hooks"]>["before"]>;
type Mail = NonNullable<NonNullable<ConfigContent["notify"]>["mail"]>;
type Webhook = NonNullable<NonNullable<ConfigContent["notify"]>["webhook"]>;

const HOOK_USER = "nobody";
const HOOK_MS: Readonly<Record<HookName, number>> = { before: 200, after: 10_000, soft: 10_000 };
const HOOKS_AT_ONCE = 4;
const SENDMAIL: readonly string[] = ["/usr/sbin/sendmail", "-t", "-i"];
const MAIL_EVERY_MS = 600_000;
const WEBHOOK_MS = 5000;
const WEBHOOK_ATTEMPTS = 6;

/** A setting that needs more than its text, and how its value comes to be. */
interface NamedSetting {
  readonly path: keyof ConfigValues;
  /** Where the name stands, within the setting; left out: it is the setting. */
  readonly key?: string;
  /** @throws {AbsentError} Nobody has the name. @throws {PassingError} Nobody knows. */
  read(content: unknown, host: ConfigHost): Promise<unknown>;
}

function hook(name: HookName): NamedSetting {
  return {
    path: `hooks.${name}`,
    key: "user",
    async read({ command, user, timeout, atOnce }: Hook, host: ConfigHost): Promise<HookSetting> {
      return {
        command,
        account: await accountOf(user ?? HOOK_USER, host),
        timeoutMs: timeout ?? HOOK_MS[name],
        atOnce: atOnce ?? HOOKS_AT_ONCE,
      };
    },
  };
}

const MAIL: NamedSetting = {
  path: "notify.mail",
  key: "user",
  async read(mail: Mail, host: ConfigHost): Promise<MailSetting> {
    const { to, from, subject, body, command, user, every, events } = mail;
    return {
      to,
      from: from ?? "toom",
      subject,
      body,
      command: command ?? SENDMAIL,
      account: await accountOf(user ?? "root", host),
      everyMs: every ?? MAIL_EVERY_MS,
      events: events ?? ["kill"],
    };
  },
};

const WEBHOOK: NamedSetting = {
  path: "notify.webhook",
  read({ url, timeout, attempts, events }: Webhook): Promise<WebhookSetting> {
    return Promise.resolve({
      url,
      timeoutMs: timeout ?? WEBHOOK_MS,
      attempts: attempts ?? WEBHOOK_ATTEMPTS,
      events: events ?? ["kill"],
    });
  },
};

const READ_GROUP: NamedSetting = {
  path: "control.readGroup",
  async read(name: string, host: ConfigHost): Promise<ReadGroup> {
    const gid = await asked(() => host.findGroupId(name));
    if (gid !== undefined) return { name, gid };
    const near = didYouMean(name, host.groupNames());
    throw new AbsentError(`expected the name of a group, and no group is ${quote(name)}${near}`);
  },
};

export const NAMED_SETTINGS: readonly NamedSetting[] = [
  hook("before"),
  hook("after"),
  hook("soft"),
  MAIL,
  WEBHOOK,
  READ_GROUP,
];

async function accountOf(name: string, host: ConfigHost): Promise<Account> {
  const account = await asked(() => host.findAccount(name));
  if (account !== undefined) return account;
  const near = didYouMean(name, host.userNames());
  throw new AbsentError(`expected the name of a user, and no user is ${quote(name)}${near}`);
}

async function asked<Value>(ask: () => Promise<Value>): Promise<Value> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const reason = error instanceof FormatError ? error.message : String(error.message);
    throw new PassingError(`expected to find out who that is: ${reason}`, { cause: error });
  }
}
