/**
 * A configuration of nohang that does what is measured and leaves the rest at its defaults.
 *
 * @module
 */

/** @param mib It kills when less than this is available; at most half of memory. */
export function nohangConfig(mib: number): string {
  // It wants every key. Soft lies below hard, so that SIGKILL comes first, as with the others.
  return `
zram_checking_enabled = False
psi_checking_enabled = False
psi_path = /proc/pressure/memory
psi_metrics = full_avg10
psi_excess_duration = 30
psi_post_action_delay = 15
fill_rate_mem = 6000
fill_rate_swap = 2000
fill_rate_zram = 4000
max_sleep = 3
min_sleep = 0.1
post_action_gui_notifications = False
hide_corrective_action_type = False
low_memory_warnings_enabled = False
warning_exe =
warning_threshold_min_mem = 20 %
warning_threshold_min_swap = 25 %
warning_threshold_max_zram = 45 %
warning_threshold_max_psi = 10
min_post_warning_delay = 60
env_cache_time = 300
soft_threshold_min_mem = 1 M
soft_threshold_min_swap = 10 %
soft_threshold_max_zram = 55 %
soft_threshold_max_psi = 40
hard_threshold_min_mem = ${mib} M
hard_threshold_min_swap = 10 %
hard_threshold_max_zram = 60 %
hard_threshold_max_psi = 90
ignore_positive_oom_score_adj = False
max_soft_exit_time = 10
post_kill_exe =
min_badness = 1
post_soft_action_delay = 3
post_zombie_delay = 0.1
victim_cache_time = 10
exe_timeout = 20
print_config_at_startup = False
print_mem_check_results = False
min_mem_report_interval = 60
print_proc_table = False
extra_table_info = None
print_victim_status = False
print_victim_cmdline = False
max_victim_ancestry_depth = 1
print_statistics = False
debug_psi = False
debug_gui_notifications = False
debug_sleep = False
debug_threading = False
separate_log = False
@BADNESS_ADJ_RE_NAME -2000 /// ^(?!zzhog$)
`.trimStart();
}
