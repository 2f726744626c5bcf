// Every process of a run finds the same sockets from --run-dir alone, and nobody else can.
#include "gm/runtime/endpoints.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

namespace {

using namespace gm;

struct Folder {
    std::string path;
    Folder() {
        char name[] = "/tmp/gm-endpoints-XXXXXX";
        path = mkdtemp(name);
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("the runtime directory is named by uid and the digest of the absolute path") {
    Endpoints found;
    REQUIRE(find_endpoints("/var/run1", "", found).is_ok());
    // printf /var/run1 | sha256sum
    CHECK(found.runtime_dir == "/dev/shm/gm-" + std::to_string(getuid()) + "-70b479fd035a");
    CHECK(found.feed == "ipc://" + found.runtime_dir + "/feed");
    CHECK(found.control == "ipc://" + found.runtime_dir + "/control");
    CHECK(socket_path(found.orders) == found.runtime_dir + "/orders");
    CHECK(found.settings_path == "/var/run1/settings.bin");
}

TEST_CASE("spelling the same directory differently leads to the same sockets") {
    Endpoints plain;
    REQUIRE(find_endpoints("/var/run1", "", plain).is_ok());
    for (const char* spelling : {"/var/run1/", "/var/./run1", "/var/x/../run1", "/var//run1//"}) {
        Endpoints found;
        REQUIRE(find_endpoints(spelling, "", found).is_ok());
        CHECK(found.run_dir == plain.run_dir);
        CHECK(found.feed == plain.feed);
    }
}

TEST_CASE("systemd's runtime directory wins, and of a list its first entry") {
    Endpoints found;
    REQUIRE(find_endpoints("/var/run1", "/run/grandmodel", found).is_ok());
    CHECK(found.feed == "ipc:///run/grandmodel/feed");
    CHECK(found.run_dir == "/var/run1");
    REQUIRE(find_endpoints("/var/run1", "/run/one:/run/two", found).is_ok());
    CHECK(found.runtime_dir == "/run/one");
}

TEST_CASE("a socket path of 107 bytes is taken, of 108 refused with its length") {
    Endpoints found;
    const std::size_t longest_name = std::string("/commands").size();
    const std::string fits = "/" + std::string(kSocketPathSizeMax - longest_name - 1, 'x');
    CHECK(find_endpoints("/v", fits, found).is_ok());
    const Failure failure = find_endpoints("/v", fits + "x", found);
    CHECK(failure.status == Status::kBadArgument);
    CHECK(failure.text.find("108 bytes, at most 107") != std::string::npos);
}

TEST_CASE("an empty run directory is refused") {
    Endpoints found;
    CHECK(find_endpoints("", "", found).status == Status::kBadArgument);
}

TEST_CASE("directories are made once, private, and a foreign or open one is refused") {
    const Folder folder;
    Endpoints found;
    REQUIRE(find_endpoints(folder.path + "/a/b", folder.path + "/run", found).is_ok());
    REQUIRE(make_directories(found).is_ok());
    REQUIRE(make_directories(found).is_ok());
    struct stat made{};
    REQUIRE(stat(found.runtime_dir.c_str(), &made) == 0);
    CHECK((made.st_mode & 0777) == 0700);
    CHECK(std::filesystem::is_directory(found.run_dir));

    REQUIRE(chmod(found.runtime_dir.c_str(), 0750) == 0);
    CHECK(make_directories(found).status == Status::kBadArgument);

    std::filesystem::remove_all(found.runtime_dir);
    std::filesystem::create_directory_symlink(found.run_dir, found.runtime_dir);
    CHECK(make_directories(found).status == Status::kBadArgument);
}
