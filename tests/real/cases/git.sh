# shellcheck shell=bash disable=SC2034,SC2317
# git: a repository with many commits, commits by hand, branches and merges, gc --aggressive, fsck, clone.
NEEDS=git
PACKAGES=git
EXPECT='git'
LIMIT=120

prepare() {
    awk -v n="$([ "$SCALE" = quick ] && echo 250 || echo 1200)" 'BEGIN {
        for (c = 1; c <= n; c++) {
            text = ""
            for (l = 0; l < 40 + c % 160; l++) text = text "line " l " of file, changed in " (l % 7 == c % 7 ? c : c - c % 7) " " (l * c) % 9973 "\n"
            printf "commit refs/heads/main\ncommitter A U Thor <author@example.org> %d +0000\ndata %d\n%s\n", 1600000000 + c * 60, length("change " c), "change " c
            if (c > 1 && c % 50 == 0) printf "D dir%d/file%d\n", c % 11, (c - 25) % 60
            printf "M 100644 inline dir%d/file%d\ndata %d\n%s\n", c % 11, c % 60, length(text), text
        }
    }' > stream
}

body() {
    export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=A GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=A GIT_COMMITTER_EMAIL=a@example.org
    export GIT_AUTHOR_DATE='1700000000 +0000' GIT_COMMITTER_DATE='1700000000 +0000' GIT_PAGER=cat
    local i
    git -c init.defaultBranch=main init -q repo
    cd repo || return
    git config gc.auto 0
    git config pack.threads 2
    git fast-import --quiet < "$IN/stream"
    git checkout -q -f main
    for ((i = 0; i < $(amount 5 40); i++)); do
        echo "by hand $i" >> "dir$((i % 5))/hand$((i % 3))"
        git add -A
        git commit -q -m "hand $i"
    done
    git checkout -q -b side HEAD~3
    echo side > side
    git add side
    git commit -q -m side
    git checkout -q main
    git merge -q --no-edit side
    git gc -q --aggressive --prune=now
    git fsck --full --strict --no-progress
    git rev-list --objects --all | sort | sha256sum
    git log -p --stat --all | sha256sum
    git blame dir1/hand1 | sha256sum
    git grep -n 'changed in 1[0-9]*7 ' | sha256sum
    git archive HEAD | sha256sum
    git clone -q --no-local --bare . ../clone
    git -C ../clone rev-parse HEAD
    git -C ../clone count-objects -v | grep -E '^(count|in-pack|garbage)'
}
