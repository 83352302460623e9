// SPDX-License-Identifier: Apache-2.0
// A main for fuzz targets without libFuzzer: replays the files and folders given, each input in a buffer of exactly its
// size, so that sanitizers see a read past its end.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path, long size)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = malloc(size ? (size_t)size : 1);
    if (!file || !data || fread(data, 1, (size_t)size, file) != (size_t)size) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    fclose(file);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    free(data);
    return 1;
}

static int replay(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        fprintf(stderr, "replay: no %s\n", path);
        exit(1);
    }
    if (!S_ISDIR(st.st_mode))
        return replay_file(path, (long)st.st_size);
    struct dirent **entry;
    int count = 0, entries = scandir(path, &entry, NULL, alphasort);
    for (int i = 0; i < entries; i++) {
        char full[4096];
        snprintf(full, sizeof full, "%s/%s", path, entry[i]->d_name);
        if (stat(full, &st) == 0 && S_ISREG(st.st_mode))
            count += replay_file(full, (long)st.st_size);
        free(entry[i]);
    }
    free(entry);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += replay(argv[i]);
    printf("replayed %d inputs\n", count);
    return count > 0 ? 0 : 1;
}
