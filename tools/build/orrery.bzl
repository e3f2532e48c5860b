"""cc_library, cc_binary and cc_test with this project's compiler options.

    orrery_cc_library(name, hdrs, srcs, deps, exceptions = False, **the rest of cc_library)
    orrery_cc_binary(name, srcs, deps, exceptions = False, **the rest of cc_binary)
    orrery_cc_test(name, srcs, deps, size = "small", main = "//third_party:gtest_main", **the rest of cc_test)

Our own code has no exceptions and no RTTI. `exceptions = True` turns both on, for code that sits on a library that
needs them (CLI11, RapidCheck); tests always have them. So that a test may derive from an interface of ours, a pure
interface has no key function: its destructor is defined in the class.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# Warnings that g++ 12 and clang 19 both know, and that hold in the whole tree.
_COPTS = [
    "-std=c++2b",
    "-Wall",
    "-Wextra",
    "-Wcast-qual",
    "-Wextra-semi",
    "-Wformat=2",
    "-Wimplicit-fallthrough",
    "-Wmissing-declarations",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wshadow",
    "-Wundef",
    "-Wunused",
    "-Wvla",
    "-Werror",
]

_NO_EXCEPTIONS = [
    "-fno-exceptions",
    "-fno-rtti",
]

_GTEST_MAIN = "//third_party:gtest_main"

def _copts(exceptions, more):
    return _COPTS + ([] if exceptions else _NO_EXCEPTIONS) + more

def orrery_cc_library(name, exceptions = False, copts = [], **kwargs):
    """A library of ours: one header is one target."""

    # Never a shared object: nobody loads it.
    cc_library(name = name, copts = _copts(exceptions, copts), linkstatic = True, **kwargs)

def orrery_cc_binary(name, exceptions = False, copts = [], **kwargs):
    """A program of ours."""
    cc_binary(name = name, copts = _copts(exceptions, copts), **kwargs)

def orrery_cc_test(name, deps = [], copts = [], size = "small", main = _GTEST_MAIN, **kwargs):
    """A test on GoogleTest; `main = None` for one that brings its own main()."""
    if "//third_party:rapidcheck" in deps and main == _GTEST_MAIN:
        # The same cases in every run. Others: bazel test --test_env=RC_PARAMS="seed=7" ...
        kwargs.setdefault("env", {"RC_PARAMS": "seed=1"})
    cc_test(
        name = name,
        size = size,
        copts = _copts(True, copts),
        deps = deps + ([main] if main else []),
        **kwargs
    )
