/**
 * A configuration as the control API and `toom check-config` show it: bytes instead of pages.
 *
 * @module
 */
import { isNoLimit } from "../../pipeline/limits/limits.ts";
import { planReport } from "./plan_shape.ts";
import { memberNames } from "../config/option_values.ts";
import { CONFIG_OPTIONS } from "../config/options.ts";
import type { ConfigReport } from "../config/report.ts";
import type { ConfigAnswer } from "./control_api.ts";

export function configReport(
  { files, settings, limits, rules, absent }: ConfigReport,
  { pageBytes }: { readonly pageBytes: number },
): ConfigAnswer {
  return {
    files: [...files],
    settings: settings.map((setting) => ({
      ...setting,
      reloads: CONFIG_OPTIONS.find(({ path }) => path === setting.path)!.reloads,
    })),
    ...(absent === undefined ? {} : { absent: [...absent] }),
    limits: limits.map(({ subject, kind, place, uids, limit }) => ({
      subject,
      kind,
      place,
      uids: [...uids],
      hardBytes: isNoLimit(limit) ? null : limit.hardPages * pageBytes,
      softBytes: isNoLimit(limit) ? null : limit.softPages * pageBytes,
      ...(limit.processesMax === undefined ? {} : { maxProcesses: limit.processesMax }),
      ...(limit.brake === undefined ? {} : { brake: limit.brake }),
      ...(limit.victim === undefined ? {} : { victim: limit.victim }),
      ...(limit.countMask === undefined ? {} : { count: memberNames(limit.countMask) }),
      ...(limit.plan === undefined ? {} : { plan: planReport(limit.plan) }),
      ...(limit.storm === undefined ? {} : { storm: limit.storm }),
    })),
    rules: rules.map(({ effect, weight, text, place }) => ({
      effect,
      weight,
      matches: text,
      place,
    })),
  };
}
