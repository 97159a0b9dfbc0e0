/* replay.c: runs a fuzzer's function over the files of a folder, for compilers without libFuzzer and for the normal test
 * run: every input that once found something keeps being tried. usage: replay-NAME FILE-OR-FOLDER... */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 1;
    }
    struct stat st;
    size_t size = fstat(fileno(f), &st) == 0 ? (size_t)st.st_size : 0;
    uint8_t *data = malloc(size + 1); /* exactly `size` would be better for the sanitizer, but may be 0 */
    if (data == NULL || fread(data, 1, size, f) != size) {
        perror(path);
        fclose(f);
        free(data);
        return 1;
    }
    fclose(f);
    uint8_t *exact = realloc(data, size > 0 ? size : 1);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return 0;
}

static int replay_folder(const char *path, unsigned *runs) {
    DIR *d = opendir(path);
    if (d == NULL) {
        ++*runs;
        return replay_file(path);
    }
    int failed = 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char file[4096];
        if (e->d_name[0] != '.') {
            snprintf(file, sizeof file, "%s/%s", path, e->d_name);
            failed |= replay_file(file);
            ++*runs;
        }
    }
    closedir(d);
    return failed;
}

int main(int argc, char **argv) {
    unsigned runs = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        failed |= replay_folder(argv[i], &runs);
    }
    printf("%u inputs\n", runs);
    return failed != 0 || runs == 0;
}
