#include "gateway/settlement_spool.hpp"

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

namespace holdfast::gateway {
namespace {

namespace fs = std::filesystem;

class Folder {
public:
  Folder() : path_(fs::temp_directory_path() / ("spool-" + std::to_string(getpid()))) {
    fs::create_directory(path_);
  }
  ~Folder() { fs::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  std::string path() const { return path_; }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_))
      names.push_back(entry.path().filename());
    return names;
  }

private:
  fs::path path_;
};

// Takes resolutions, and lets a test wait until so many have come.
class Taker {
public:
  explicit Taker(ResolutionResult result) : result_(result) {}
  SettlementQueue::Attempt attempt() {
    return [this](const Resolution& resolution) {
      const std::lock_guard<std::mutex> lock(mutex_);
      taken_.push_back(resolution.settlement.hold_id);
      changed_.notify_all();
      return result_;
    };
  }
  std::vector<std::string> wait_for(std::size_t count) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return taken_.size() >= count; });
    return taken_;
  }

private:
  ResolutionResult result_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> taken_;
};

Resolution resolution(const std::string& hold_id) {
  Resolution made;
  made.settlement.organization_id = "o";
  made.settlement.hold_id = hold_id;
  return made;
}

SettlementQueue::Attempt never() {
  return [](const Resolution&) {
    ADD_FAILURE() << "nothing was spooled";
    return ResolutionResult::done;
  };
}

void leave(const Folder& folder, const std::vector<Resolution>& resolutions) {
  SettlementSpool spool(folder.path(), never());
  spool.stop();
  ASSERT_TRUE(spool.write(resolutions));
}

TEST(SettlementSpoolTest, ALineKeepsWhatTheLedgerNeeds) {
  Resolution made = resolution("h");
  Settlement& settlement = made.settlement;
  settlement.model = "m";
  settlement.prompt_tokens = 1;
  settlement.completion_tokens = 2;
  settlement.cached_tokens = 3;
  settlement.cache_write_tokens = 4;
  settlement.reasoning_tokens = 5;
  settlement.estimated = true;
  settlement.reported_cost_usd = "0.000000001";
  settlement.answer_status = 410;
  settlement.answer = "{\"a\": \"line\nand \\u0000 \xc3\xa9\"}";
  settlement.metadata_json = "{\"requestId\":\"r\"}";
  settlement.fallback_used = true;
  settlement.request = "mail ada@example.com";
  const std::string line = spool_line(made);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const auto read = read_spool_line(line);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, Resolution::Kind::settle);
  const Settlement& again = read->settlement;
  EXPECT_EQ(again.organization_id, "o");
  EXPECT_EQ(again.hold_id, "h");
  EXPECT_EQ(again.model, "m");
  EXPECT_EQ(again.prompt_tokens, 1);
  EXPECT_EQ(again.completion_tokens, 2);
  EXPECT_EQ(again.cached_tokens, 3);
  EXPECT_EQ(again.cache_write_tokens, 4);
  EXPECT_EQ(again.reasoning_tokens, 5);
  EXPECT_TRUE(again.estimated);
  EXPECT_EQ(again.reported_cost_usd, "0.000000001");
  EXPECT_EQ(again.answer_status, 410);
  EXPECT_EQ(again.answer, settlement.answer);
  EXPECT_EQ(again.metadata_json, settlement.metadata_json);
  EXPECT_TRUE(again.fallback_used);
  EXPECT_EQ(again.request, "mail [REDACTED:EMAIL]");
}

TEST(SettlementSpoolTest, OtherLinesAreNone) {
  for (const char* line : {"", "{", "[]", "{\"kind\":\"settle\"}",
                           "{\"kind\":\"spend\",\"organizationId\":\"o\",\"holdId\":\"h\"}"})
    EXPECT_FALSE(read_spool_line(line)) << line;
}

TEST(SettlementSpoolTest, WhatOneLeavesTheNextBringsIn) {
  const Folder folder;
  Resolution release = resolution("b");
  release.kind = Resolution::Kind::release;
  leave(folder, {resolution("a"), release});
  ASSERT_EQ(folder.names().size(), 1U);
  EXPECT_EQ(fs::status(folder.path() + "/" + folder.names()[0]).permissions(),
            fs::perms::owner_read | fs::perms::owner_write);
  Taker taker(ResolutionResult::done);
  SettlementSpool spool(folder.path(), taker.attempt());
  EXPECT_EQ(taker.wait_for(2), (std::vector<std::string>{"a", "b"}));
  spool.stop();
  EXPECT_TRUE(folder.names().empty());
}

TEST(SettlementSpoolTest, AFileStaysUntilAllOfItIsTaken) {
  const Folder folder;
  leave(folder, {resolution("a")});
  Taker taker(ResolutionResult::later);
  SettlementSpool spool(folder.path(), taker.attempt());
  taker.wait_for(1);
  spool.stop();
  EXPECT_EQ(spool.files(), 1U);
}

TEST(SettlementSpoolTest, WhatCannotBeReadIsSetAsideAndTheRestTaken) {
  const Folder folder;
  std::ofstream(folder.path() + "/settlements-x.jsonl") << "what is this\n"
                                                        << spool_line(resolution("a"));
  Taker taker(ResolutionResult::done);
  SettlementSpool spool(folder.path(), taker.attempt());
  taker.wait_for(1);
  spool.stop();
  EXPECT_EQ(folder.names(), std::vector<std::string>{"settlements-x.jsonl.unreadable"});
}

TEST(SettlementSpoolTest, AFileThatAnotherHasTakenIsLeftToIt) {
  const Folder folder;
  leave(folder, {resolution("a")});
  const std::string path = folder.path() + "/" + folder.names()[0];
  std::FILE* taken = std::fopen(path.c_str(), "r");
  ASSERT_NE(taken, nullptr);
  ASSERT_EQ(flock(fileno(taken), LOCK_EX), 0);
  {
    SettlementSpool spool(folder.path(), never());
    spool.stop(); // after a whole round
  }
  EXPECT_EQ(folder.names().size(), 1U);
  std::fclose(taken);
}

TEST(SettlementSpoolTest, WithoutAFolderNothingIsWrittenAndOneThatIsNotThereIsRefused) {
  SettlementSpool spool("", never());
  EXPECT_FALSE(spool.write({resolution("a")}));
  EXPECT_EQ(spool.files(), 0U);
  EXPECT_THROW(SettlementSpool("/nowhere/at/all", never()), std::runtime_error);
}

} // namespace
} // namespace holdfast::gateway
