// SPDX-License-Identifier: Apache-2.0
#include "control/config_errors.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCE_CAP = 200 }; // of a source line, so that a file of one long line stays readable

static char *copy_or_null(const char *text)
{
    return text ? strdup(text) : NULL;
}

// The source line without leading blanks and its line end, bounded; tabs become blanks so that it prints as one line.
static char *copy_source(const char *source)
{
    if (!source)
        return NULL;
    source += strspn(source, " \t");
    size_t len = strcspn(source, "\r\n");
    if (len == 0)
        return NULL;
    char *copy = strndup(source, len < SOURCE_CAP ? len : SOURCE_CAP);
    for (char *c = copy; c && *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = ' ';
    return copy;
}

void config_errors_add(struct config_errors *errors, enum config_error_level level, const char *file, unsigned line,
                       const char *key, const char *source, const char *format, ...)
{
    if (level == CONFIG_ERROR)
        errors->error_count++;
    else
        errors->warning_count++;
    // Entries are allocated by doubling: 8, 16, ... up to the limit.
    if (errors->count >= CONFIG_ERRORS_MAX)
        return;
    if (errors->count == 0 || (errors->count >= 8 && (errors->count & (errors->count - 1)) == 0)) {
        size_t cap = errors->count ? (size_t)errors->count * 2 : 8;
        struct config_error *grown = realloc(errors->entry, cap * sizeof(*grown));
        if (!grown)
            return;
        errors->entry = grown;
    }
    char text[CONFIG_ERROR_TEXT_CAP];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    struct config_error *e = &errors->entry[errors->count++];
    *e = (struct config_error){.level = level,
                               .file = copy_or_null(file),
                               .line = line,
                               .key = copy_or_null(key),
                               .text = strdup(text),
                               .source = copy_source(source)};
}

char *config_error_format(const struct config_error *error, char *out, size_t cap)
{
    const char *level = error->level == CONFIG_ERROR ? "error" : "warning";
    const char *file = error->file ? error->file : "-";
    const char *key = error->key ? error->key : "";
    const char *colon = error->key && *error->key ? ": " : "";
    const char *text = error->text ? error->text : "out of memory";
    if (error->line)
        snprintf(out, cap, "%s:%u: %s: %s%s%s", file, error->line, level, key, colon, text);
    else
        snprintf(out, cap, "%s: %s: %s%s%s", file, level, key, colon, text);
    return out;
}

// By line within runs of the same file; insertion sort, stable, since lists are short and nearly in order.
void config_errors_sort(struct config_errors *errors, unsigned first)
{
    for (unsigned i = first + 1; i < errors->count; i++) {
        struct config_error e = errors->entry[i];
        unsigned at = i;
        while (at > first && errors->entry[at - 1].line > e.line && errors->entry[at - 1].file && e.file &&
               strcmp(errors->entry[at - 1].file, e.file) == 0) {
            errors->entry[at] = errors->entry[at - 1];
            at--;
        }
        errors->entry[at] = e;
    }
}

void config_errors_print(const struct config_errors *errors, FILE *out)
{
    char line[CONFIG_ERROR_TEXT_CAP + 1024];
    for (unsigned i = 0; i < errors->count; i++) {
        const struct config_error *e = &errors->entry[i];
        fprintf(out, "%s\n", config_error_format(e, line, sizeof(line)));
        if (e->source)
            fprintf(out, "    %s\n", e->source);
    }
    unsigned all = errors->error_count + errors->warning_count;
    if (all > errors->count)
        fprintf(out, "... and %u more\n", all - errors->count);
}

void config_errors_fini(struct config_errors *errors)
{
    for (unsigned i = 0; i < errors->count; i++) {
        free(errors->entry[i].file);
        free(errors->entry[i].key);
        free(errors->entry[i].text);
        free(errors->entry[i].source);
    }
    free(errors->entry);
    *errors = (struct config_errors){0};
}
