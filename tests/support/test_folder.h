// SPDX-License-Identifier: Apache-2.0
// For tests: a folder of one test's own, gone with it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

struct TestFolder {
    std::string path;
    TestFolder()
    {
        char name[] = "/tmp/signpost-test-XXXXXX";
        path = mkdtemp(name);
    }
    ~TestFolder()
    {
        const std::string command = "rm -rf " + path;
        if (system(command.c_str()) != 0)
            ADD_FAILURE() << command;
    }
    std::string file(const std::string &name) const
    {
        return path + "/" + name;
    }
};
