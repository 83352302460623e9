// SPDX-License-Identifier: Apache-2.0
#include "control/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <libconfig.h>

struct config_file {
    char *name;
    char *text; // a copy, zero-terminated, for source lines
    size_t len;
    const char **line; // start of each line
    unsigned line_count;
    struct config_value *value; // [0] is the root; children of one parent are chained, not adjacent
    char *strings;              // all names and strings
};

// ---- the scan before libconfig ----

enum token { TOKEN_NONE, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA, TOKEN_STRING, TOKEN_WORD, TOKEN_ASSIGN, TOKEN_END };

struct scan {
    const struct config_file *file;
    struct config_errors *errors;
    const char *p;
    unsigned line;
    bool at_line_start;
    enum token last; // the last token that was not blank
    unsigned last_line;
    unsigned depth;
    char open[CONFIG_FILE_DEPTH_MAX];
    unsigned open_line[CONFIG_FILE_DEPTH_MAX];
    bool failed, out_of_memory;
    size_t *wide; // ends of integers that need more than 32 bits
    size_t wide_count, wide_cap;
};

static void scan_error(struct scan *s, unsigned line, const char *text)
{
    config_errors_add(s->errors, CONFIG_ERROR, s->file->name, line, NULL, config_file_line(s->file, line), "%s", text);
    s->failed = true;
}

// Skips a comment at s->p; false when there is none.
static bool scan_comment(struct scan *s)
{
    if (*s->p == '#' || (s->p[0] == '/' && s->p[1] == '/')) {
        s->p += strcspn(s->p, "\n");
        return true;
    }
    if (s->p[0] != '/' || s->p[1] != '*')
        return false;
    unsigned start = s->line;
    for (s->p += 2; *s->p && !(s->p[0] == '*' && s->p[1] == '/'); s->p++)
        s->line += *s->p == '\n';
    if (*s->p)
        s->p += 2;
    else
        scan_error(s, start, "this comment is not closed; \"*/\" is missing");
    return true;
}

static void scan_string(struct scan *s)
{
    unsigned start = s->line;
    for (s->p++; *s->p && *s->p != '"'; s->p++) {
        s->line += *s->p == '\n';
        if (*s->p != '\\' || !s->p[1])
            continue;
        s->p++;
        s->line += *s->p == '\n';
        if (strncmp(s->p, "x00", 3) == 0)
            scan_error(s, s->line, "a text cannot hold the zero octet (\\x00)");
    }
    if (!*s->p) {
        scan_error(s, start, "this text is not closed; a quote (\") is missing, perhaps here");
        return;
    }
    s->p++;
    // libconfig joins adjacent strings, which inside a list nearly always means a forgotten comma.
    if (s->last == TOKEN_STRING && s->depth && s->open[s->depth - 1] != '{')
        scan_error(s, start, "a comma is missing between two texts of a list");
    s->last = TOKEN_STRING;
}

static void scan_open(struct scan *s)
{
    if ((s->last == TOKEN_CLOSE || s->last == TOKEN_STRING) && s->depth && s->open[s->depth - 1] != '{')
        scan_error(s, s->line, "a comma is missing between two entries of a list");
    if (s->depth == CONFIG_FILE_DEPTH_MAX) {
        scan_error(s, s->line, "groups and lists lie too deep inside each other (at most 32 levels)");
        s->p += strlen(s->p);
        s->depth = 0;
        return;
    }
    s->open[s->depth] = *s->p++;
    s->open_line[s->depth++] = s->line;
    s->last = TOKEN_OPEN;
}

static void scan_close(struct scan *s)
{
    static const char pairs[] = "(){}[]";
    char close = *s->p++;
    char text[128];
    if (s->depth == 0) {
        snprintf(text, sizeof(text), "\"%c\" closes nothing", close);
        scan_error(s, s->line, text);
        return;
    }
    char open = s->open[--s->depth];
    if (strchr(pairs, open)[1] != close) {
        snprintf(text, sizeof(text), "\"%c\" does not close the \"%c\" of line %u", close, open,
                 s->open_line[s->depth]);
        scan_error(s, s->line, text);
    } else if (s->last == TOKEN_COMMA && close != '}') {
        snprintf(text, sizeof(text), "a comma stands behind the last entry of the list; remove it");
        scan_error(s, s->last_line, text);
    }
    s->last = TOKEN_CLOSE;
}

// libconfig cuts an integer without a final "L" to 32 bits and says nothing (4294968528 becomes 1232), and lets one of
// more than 64 saturate. Remembers where an "L" must go.
static void scan_integer(struct scan *s, const char *word, size_t len)
{
    const size_t sign = *word == '-' || *word == '+';
    const bool has_suffix = len > 1 && word[len - 1] == 'L';
    const size_t digits = strspn(word + sign, "0123456789");
    if (digits == 0 || sign + digits + has_suffix != len)
        return; // a float, or hexadecimal, which the reader refuses
    errno = 0;
    const long long value = strtoll(word, NULL, 10);
    if (errno == ERANGE) {
        scan_error(s, s->line, "this number is too large");
        return;
    }
    if (has_suffix || (value >= INT32_MIN && value <= INT32_MAX))
        return;
    if (s->wide_count == s->wide_cap) {
        s->wide_cap = s->wide_cap ? s->wide_cap * 2 : 64;
        size_t *grown = realloc(s->wide, s->wide_cap * sizeof(*grown));
        s->out_of_memory = !grown;
        if (!grown)
            return;
        s->wide = grown;
    }
    s->wide[s->wide_count++] = (size_t)(word + len - s->file->text);
}

// A bare word: a setting's name, a number, true or false. As a value anything else is a text without its quotes.
static void scan_word(struct scan *s)
{
    const char *word = s->p;
    if (*word == '@' && s->at_line_start) {
        scan_error(s, s->line, "@include is not supported; write include = ( \"file or directory\" ) at the top level");
        s->p += strcspn(s->p, "\n");
        return;
    }
    size_t len = strcspn(word, " \t\r\n\f\v,;(){}[]=\"#");
    s->p += len ? len : 1;
    bool is_value = s->last == TOKEN_ASSIGN || (s->depth && s->open[s->depth - 1] != '{');
    bool is_number = isdigit((unsigned char)*word) || *word == '-' || *word == '+' || *word == '.';
    if (is_number)
        for (size_t i = 1; i < len; i++)
            is_number = is_number && (isxdigit((unsigned char)word[i]) || strchr(".-+xXL", word[i]));
    bool is_bool = (len == 4 && strncasecmp(word, "true", 4) == 0) || (len == 5 && strncasecmp(word, "false", 5) == 0);
    if (is_value && !is_number && !is_bool) {
        char text[160];
        snprintf(text, sizeof(text), "\"%.*s\" must stand in double quotes", len < 60 ? (int)len : 60, word);
        scan_error(s, s->line, text);
    }
    if (is_value && is_number && !s->out_of_memory)
        scan_integer(s, word, len);
    s->last = TOKEN_WORD;
}

static void scan_one(struct scan *s)
{
    char c = *s->p;
    if (c == '\n') {
        s->line++;
        s->p++;
        s->at_line_start = true;
        return;
    }
    if (isspace((unsigned char)c)) {
        s->p++;
        return;
    }
    if (scan_comment(s))
        return;
    if (c == '"')
        scan_string(s);
    else if (strchr("({[", c))
        scan_open(s);
    else if (strchr(")}]", c))
        scan_close(s);
    else if (strchr(",;=", c)) {
        s->last = c == ',' ? TOKEN_COMMA : c == ';' ? TOKEN_END : TOKEN_ASSIGN;
        s->p++;
    } else if (c == ':') { // libconfig takes `name : value` as well
        s->last = TOKEN_ASSIGN;
        s->p++;
    } else {
        scan_word(s);
    }
    s->last_line = s->line;
    s->at_line_start = false;
}

// The text as libconfig must get it: with an "L" behind each wide integer. Null: out of memory.
static char *widened(const struct config_file *file, const size_t *wide, size_t wide_count)
{
    char *out = malloc(file->len + wide_count + 1), *to = out;
    size_t from = 0;
    if (!out)
        return NULL;
    for (size_t i = 0; i < wide_count; i++) {
        memcpy(to, file->text + from, wide[i] - from);
        to += wide[i] - from;
        *to++ = 'L';
        from = wide[i];
    }
    memcpy(to, file->text + from, file->len - from + 1);
    return out;
}

// 0 and the text for libconfig, which the caller frees; -EINVAL with every finding reported, -ENOMEM.
static int scan_file(const struct config_file *file, struct config_errors *errors, char **text)
{
    struct scan s = {.file = file, .errors = errors, .p = file->text, .line = 1, .at_line_start = true};
    if (strlen(file->text) != file->len) {
        scan_error(&s, 0, "the file holds a zero octet: it is not a text file");
        return -EINVAL;
    }
    if (strncmp(s.p, "\xef\xbb\xbf", 3) == 0) {
        scan_error(&s, 1, "the file starts with a byte order mark; save it as UTF-8 without one");
        return -EINVAL;
    }
    while (*s.p)
        scan_one(&s);
    if (s.depth && !s.failed) {
        char message[64];
        snprintf(message, sizeof(message), "the \"%c\" of this line is not closed", s.open[s.depth - 1]);
        scan_error(&s, s.open_line[s.depth - 1], message);
    }
    *text = s.failed || s.out_of_memory ? NULL : widened(file, s.wide, s.wide_count);
    free(s.wide);
    return s.failed ? -EINVAL : *text ? 0 : -ENOMEM;
}

// ---- from libconfig's tree to ours ----

struct convert {
    struct config_file *file;
    size_t value_count, string_bytes; // pass 1: needed; pass 2: used
    bool fill;
};

// Children of a group or list as libconfig counts them; 0 for scalars.
static int child_count(const config_setting_t *setting)
{
    return config_setting_is_aggregate(setting) ? config_setting_length(setting) : 0;
}

static const char *keep_string(struct convert *c, const char *text)
{
    if (!text)
        return NULL;
    size_t size = strlen(text) + 1;
    char *to = c->fill ? c->file->strings + c->string_bytes : NULL;
    if (to)
        memcpy(to, text, size);
    c->string_bytes += size;
    return to;
}

static enum config_value_type value_type(const config_setting_t *setting)
{
    switch (config_setting_type(setting)) {
    case CONFIG_TYPE_GROUP:
        return CONFIG_VALUE_GROUP;
    case CONFIG_TYPE_STRING:
        return CONFIG_VALUE_STRING;
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        return CONFIG_VALUE_INT;
    case CONFIG_TYPE_FLOAT:
        return CONFIG_VALUE_FLOAT;
    case CONFIG_TYPE_BOOL:
        return CONFIG_VALUE_BOOL;
    default: // CONFIG_TYPE_LIST, CONFIG_TYPE_ARRAY; libconfig's types are plain numbers
        return CONFIG_VALUE_LIST;
    }
}

// Takes one setting over; its place in the file's values, or null on the counting pass.
static struct config_value *convert_one(struct convert *c, const config_setting_t *setting)
{
    const char *name = keep_string(c, config_setting_name(setting));
    const char *string = NULL;
    if (config_setting_type(setting) == CONFIG_TYPE_STRING)
        string = keep_string(c, config_setting_get_string(setting));
    size_t at = c->value_count++;
    if (!c->fill)
        return NULL;
    struct config_value *v = &c->file->value[at];
    *v = (struct config_value){.type = value_type(setting),
                               .name = name,
                               .file = c->file,
                               .line = config_setting_source_line(setting),
                               .string = string,
                               .child_count = (unsigned)child_count(setting)};
    // A 64-bit value read as int would be "0, success": always fetch 64 bits.
    if (v->type == CONFIG_VALUE_INT) {
        v->is_hex = config_setting_get_format(setting) == CONFIG_FORMAT_HEX;
        v->number = config_setting_get_int64(setting);
        if (config_setting_type(setting) == CONFIG_TYPE_INT)
            v->number = config_setting_get_int(setting);
    } else if (v->type == CONFIG_VALUE_BOOL) {
        v->number = config_setting_get_bool(setting);
    } else if (v->type == CONFIG_VALUE_FLOAT) {
        v->real = config_setting_get_float(setting);
    }
    return v;
}

// Depth-first over libconfig's tree without recursion; the scan has bounded the depth.
static void convert_tree(struct convert *c, const config_setting_t *root)
{
    struct {
        const config_setting_t *setting;
        struct config_value *value, *last;
        int at;
    } stack[CONFIG_FILE_DEPTH_MAX + 2];
    unsigned depth = 0;
    stack[0].setting = root;
    stack[0].value = convert_one(c, root);
    stack[0].last = NULL;
    stack[0].at = 0;
    for (;;) {
        const config_setting_t *parent = stack[depth].setting;
        if (stack[depth].at >= child_count(parent)) {
            if (depth-- == 0)
                return;
            continue;
        }
        const config_setting_t *child = config_setting_get_elem(parent, (unsigned)stack[depth].at++);
        struct config_value *v = convert_one(c, child);
        if (v && stack[depth].last)
            stack[depth].last->next = v;
        else if (v)
            stack[depth].value->child = v;
        stack[depth].last = v;
        if (child_count(child) > 0 && depth + 1 < sizeof(stack) / sizeof(stack[0])) {
            depth++;
            stack[depth].setting = child;
            stack[depth].value = v;
            stack[depth].last = NULL;
            stack[depth].at = 0;
        }
    }
}

static int take_over(struct config_file *file, const config_setting_t *root)
{
    struct convert count = {.file = file};
    convert_tree(&count, root);
    file->value = calloc(count.value_count, sizeof(*file->value));
    file->strings = malloc(count.string_bytes + 1);
    if (!file->value || !file->strings)
        return -ENOMEM;
    struct convert fill = {.file = file, .fill = true};
    convert_tree(&fill, root);
    return 0;
}

static void syntax_error(const struct config_file *file, const config_t *parser, struct config_errors *errors)
{
    unsigned line = parser->error_line > 0 ? (unsigned)parser->error_line : 1;
    const char *text = parser->error_text ? parser->error_text : "syntax error";
    const char *source = config_file_line(file, line);
    const char *hint = "";
    if (strcmp(text, "syntax error") == 0)
        hint = "; perhaps a comma, an \"=\" or a name is missing here or in the line before";
    else if (strcmp(text, "duplicate setting name") == 0)
        hint = ": the key was already given in this group";
    else if (strcmp(text, "mismatched element type in array") == 0)
        hint = ": in [ ] all entries are of one type; use ( )";
    config_errors_add(errors, CONFIG_ERROR, file->name, line, NULL, source, "%s%s", text, hint);
}

static int index_lines(struct config_file *file)
{
    unsigned count = 1;
    for (size_t i = 0; i < file->len; i++)
        count += file->text[i] == '\n';
    file->line = calloc(count, sizeof(*file->line));
    if (!file->line)
        return -ENOMEM;
    const char *p = file->text;
    while (file->line_count < count) {
        file->line[file->line_count++] = p;
        const char *end = memchr(p, '\n', (size_t)(file->text + file->len - p));
        p = end ? end + 1 : p;
    }
    return 0;
}

int config_file_parse(const char *name, const char *text, size_t len, struct config_file **file,
                      struct config_errors *errors)
{
    struct config_file *f = calloc(1, sizeof(*f));
    if (!f)
        return -ENOMEM;
    f->name = strdup(name);
    f->text = malloc(len + 1);
    f->len = len;
    int rc = -ENOMEM;
    if (!f->name || !f->text)
        goto fail;
    memcpy(f->text, text, len);
    f->text[len] = 0;
    char *scanned = NULL;
    rc = index_lines(f);
    if (!rc)
        rc = scan_file(f, errors, &scanned);
    if (rc)
        goto fail;
    config_t parser;
    config_init(&parser);
    if (config_read_string(&parser, scanned) == CONFIG_TRUE) {
        rc = take_over(f, config_root_setting(&parser));
    } else {
        syntax_error(f, &parser, errors);
        rc = -EINVAL;
    }
    config_destroy(&parser);
    free(scanned);
    if (rc)
        goto fail;
    *file = f;
    return 0;
fail:
    config_file_free(f);
    return rc;
}

// The whole file at `path`, bounded. 0, or a negative errno; -EFBIG past the bound.
static int read_whole(const char *path, char **text, size_t *len)
{
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    size_t cap = 65536, used = 0;
    char *buffer = malloc(cap);
    int rc = buffer ? 0 : -ENOMEM;
    while (!rc) {
        size_t n = fread(buffer + used, 1, cap - used, in);
        used += n;
        if (n == 0) {
            rc = ferror(in) ? (errno ? -errno : -EIO) : 0;
            break;
        }
        if (used < cap)
            continue;
        if (cap >= CONFIG_FILE_BYTES_MAX) {
            rc = -EFBIG;
            break;
        }
        cap *= 2;
        char *grown = realloc(buffer, cap);
        if (!grown)
            rc = -ENOMEM;
        else
            buffer = grown;
    }
    fclose(in);
    if (rc) {
        free(buffer);
        return rc;
    }
    *text = buffer;
    *len = used;
    return 0;
}

int config_file_read(const char *path, struct config_file **file, struct config_errors *errors)
{
    char *text = NULL;
    size_t len = 0;
    int rc = read_whole(path, &text, &len);
    if (rc == -ENOMEM)
        return rc;
    if (rc) {
        config_errors_add(errors, CONFIG_ERROR, path, 0, NULL, NULL, "cannot read: %s", strerror(-rc));
        return -EINVAL;
    }
    rc = config_file_parse(path, text, len, file, errors);
    free(text);
    return rc;
}

struct config_value *config_file_root(struct config_file *file)
{
    return file->value;
}

const char *config_file_name(const struct config_file *file)
{
    return file->name;
}

const char *config_file_line(const struct config_file *file, unsigned line)
{
    return line >= 1 && line <= file->line_count ? file->line[line - 1] : NULL;
}

void config_file_free(struct config_file *file)
{
    if (!file)
        return;
    free(file->name);
    free(file->text);
    free(file->line);
    free(file->value);
    free(file->strings);
    free(file);
}
