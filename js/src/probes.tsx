/** The anywidget module of what probes find. */
import { moduleOf } from "./mount";
import { PROBE_ENTRIES } from "./probe_entries";
import { ProbeApp } from "./views/probe_app";

export default moduleOf(ProbeApp, PROBE_ENTRIES);
