// SPDX-License-Identifier: Apache-2.0
#include "control/status_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/daemon_parts.h"
#include "control/steering_report.h"

enum { SERVICES_MAX = 500, HISTORY_SHOWN = 50 };

static const char style[] = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;padding:0 1em;"
                            "color:#1d2430;background:#fbfbfa}h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}"
                            "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3em .8em;"
                            "border-bottom:1px solid #dcdfe4;vertical-align:top}th{color:#5b6472;font-weight:600}"
                            ".up{color:#146c2e}.down{color:#b3261e}.drain,.unknown{color:#8a5a00}"
                            ".alarm{background:#fdecea;border-left:4px solid #b3261e;padding:.5em 1em}"
                            "@media(prefers-color-scheme:dark){body{background:#15181d;color:#e4e7ec}"
                            "td,th{border-color:#333a45}th{color:#9aa4b2}.up{color:#6fce8a}.down{color:#ff8a80}"
                            ".drain,.unknown{color:#ffc46b}.alarm{background:#3a1d1b}}";

static void put(FILE *out, const char *text)
{
    for (const char *p = text ? text : ""; *p; p++) {
        if (*p == '<')
            fputs("&lt;", out);
        else if (*p == '>')
            fputs("&gt;", out);
        else if (*p == '&')
            fputs("&amp;", out);
        else if (*p == '"')
            fputs("&quot;", out);
        else
            fputc(*p, out);
    }
}

static void put_cell(FILE *out, const char *text)
{
    fputs("<td>", out);
    put(out, text);
    fputs("</td>", out);
}

static void put_sites(FILE *out, struct daemon *d)
{
    const struct config *config = daemon_config(d);
    fputs("<h2>Sites</h2><table><tr><th>Site</th><th>State</th><th>Why</th><th>For</th></tr>", out);
    for (unsigned i = 0; i < config->site_count; i++) {
        const struct verdict_site *v = steering_site(d->steering, i);
        const char *state = verdict_state_text(v->state);
        char why[HISTORY_TEXT_CAP];
        fputs("<tr>", out);
        put_cell(out, config->sites[i].name);
        fprintf(out, "<td class=\"%s\">%s%s</td>", state, state, v->is_in_doubt ? ", in doubt" : "");
        put_cell(out, steering_verdict_why(config, i, v, why, sizeof why));
        fprintf(out, "<td>%.0f s</td></tr>", (double)(uv_hrtime() - v->since_ns) / 1e9);
    }
    fputs("</table>", out);
}

static void put_services(FILE *out, struct daemon *d)
{
    const struct config *config = daemon_config(d);
    fputs("<h2>Services</h2><table><tr><th>Name</th><th>Order</th><th>TTL</th></tr>", out);
    for (unsigned i = 0; i < config->service_count && i < SERVICES_MAX; i++) {
        const struct steering_order *order = steering_order(d->steering, i);
        char text[HISTORY_TEXT_CAP] = "";
        fputs("<tr>", out);
        put_cell(out, config->services[i].name);
        put_cell(out, order ? steering_order_text(&config->services[i], order, text, sizeof text) : "not yet");
        fprintf(out, "<td>%u s</td></tr>", order ? order->ttl_s : 0);
    }
    fputs("</table>", out);
}

static void put_history(FILE *out, struct daemon *d)
{
    fputs("<h2>Latest changes</h2><table><tr><th>Time (UTC)</th><th>Name</th><th>Change</th><th>Why</th></tr>", out);
    for (unsigned n = 0; n < HISTORY_SHOWN; n++) {
        const struct history_entry *e = history_latest(steering_history(d->steering), n);
        if (!e)
            break;
        const time_t at = (time_t)(e->wall_us / 1000000u);
        struct tm utc;
        char text[32], change[2 * HISTORY_TEXT_CAP + 8];
        gmtime_r(&at, &utc);
        strftime(text, sizeof text, "%F %T", &utc);
        snprintf(change, sizeof change, "%s → %s", e->from, e->to);
        fputs("<tr>", out);
        put_cell(out, text);
        put_cell(out, e->name);
        put_cell(out, change);
        put_cell(out, e->why);
        fputs("</tr>", out);
    }
    fputs("</table>", out);
}

char *status_page_html(struct daemon *d)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (!out)
        return NULL;
    const struct config *config = daemon_config(d);
    fputs("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
          "content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"5\"><title>Signpost: ",
          out);
    put(out, config->node.name);
    fprintf(out, "</title><style>%s</style><h1>Signpost node ", style);
    put(out, config->node.name);
    fputs("</h1>", out);
    if (!publisher_status(d->publisher)->is_connected)
        fputs("<p class=\"alarm\">The data plane is not connected.</p>", out);
    put_sites(out, d);
    put_services(out, d);
    put_history(out, d);
    fputs("<p><a href=\"/metrics\">Metrics</a></p></html>\n", out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}
