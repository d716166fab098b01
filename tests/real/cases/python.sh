# shellcheck shell=bash disable=SC2034,SC2317
# Python's own test modules, one line per test; the stable and bounded ones.
NEEDS=python3
PACKAGES='python3 libpython3.[0-9]*-testsuite'
EXPECT='python3*'
LIMIT=240

prepare() {
    python3 -c 'import test.test_dict, test.test_asyncio' || return
    cat > outcomes.py <<'PYTHON'
import os, sys, unittest

class Outcomes(unittest.TestResult):
    def say(self, test, word):
        print(test.id(), word, flush=True)

    def addSuccess(self, test):
        self.say(test, "ok")

    def addSkip(self, test, reason):
        self.say(test, "skipped")

    def addExpectedFailure(self, test, problem):
        self.say(test, "fails as expected")

    def addUnexpectedSuccess(self, test):
        self.say(test, "succeeds unexpectedly")

    def addFailure(self, test, problem):
        self.say(test, "FAILED")
        print(self._exc_info_to_string(problem, test), file=sys.stderr)

    addError = addFailure

    def addSubTest(self, test, subtest, problem):
        if problem is not None:
            self.addFailure(subtest, problem)

if __name__ == "__main__":
    for name in sys.argv[1:]:
        unittest.defaultTestLoader.loadTestsFromName(name).run(Outcomes())
    if os.environ["WHICH"] == "library":
        with open("/proc/self/maps") as maps:
            assert os.environ["LIB"] in maps.read(), "the library is not mapped"
PYTHON
}

# Some tests print as they go.
normalise() {
    grep -E '^(unittest\.|test\.|setUp|tearDown|[A-Za-z]*Error|Traceback)'
}

body() {
    local tests=(test.test_dict test.test_list test.test_json)
    if [ "$SCALE" = all ]; then
        tests+=(test.test_bytes.BytesTest test.test_set
            test.test_re test.test_collections test.test_memoryview test.test_bufio test.test_memoryio test.test_file
            test.test_tempfile test.test_zlib test.test_pickle test.test_array test.test_deque
            test.test_decimal.CArithmeticOperatorsTest test.test_decimal.CUsabilityTest test.test_decimal.CPythonAPItests
            test.test_decimal.CContextAPItests test.test_threading.ThreadTests test.test_threading.LockTests
            test.test_threading.ConditionTests test.test_threading.BarrierTests test.test_thread
            test.test_queue.CSimpleQueueTest test.test_fork1 test.test_threadedtempfile
            test.test_asyncio.test_tasks.CTask_CFuture_Tests test.test_asyncio.test_queues test.test_asyncio.test_locks
            test.test_asyncio.test_streams test.test_multiprocessing_fork.WithProcessesTestPool
            test.test_multiprocessing_fork.WithProcessesTestQueue test.test_multiprocessing_fork.WithProcessesTestConnection
            test.test_multiprocessing_spawn.WithProcessesTestQueue test.test_multiprocessing_forkserver.WithProcessesTestValue
        )
    else
        tests+=(test.test_threading.ThreadTests.test_main_thread test.test_thread test.test_asyncio.test_queues
            test.test_multiprocessing_fork.WithProcessesTestQueue)
    fi
    python3 -X faulthandler -W ignore "$IN/outcomes.py" "${tests[@]}"
}
