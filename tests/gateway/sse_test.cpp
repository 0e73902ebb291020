#include "gateway/sse.hpp"

#include <gtest/gtest.h>
#include <random>
#include <string>
#include <vector>

namespace holdfast {
namespace {

std::string shown(const SseEvent& event) {
  return event.type + "|" + event.data + "|" + event.id;
}

std::vector<std::string> read_in_pieces(const std::vector<std::string>& pieces) {
  SseReader reader;
  std::vector<SseEvent> events;
  for (const std::string& piece : pieces)
    EXPECT_TRUE(reader.feed(piece, events));
  if (auto last = reader.finish()) events.push_back(*last);
  std::vector<std::string> lines;
  for (const SseEvent& event : events)
    lines.push_back(shown(event));
  return lines;
}

using Lines = std::vector<std::string>;

TEST(Sse, ReadsDataLines) {
  EXPECT_EQ(read_in_pieces({"data: one\n\ndata:two\n\ndata:  three\n\n"}),
            (Lines{"|one|", "|two|", "| three|"}));
}

TEST(Sse, JoinsSeveralDataLinesByLf) {
  EXPECT_EQ(read_in_pieces({"data: a\ndata: b\ndata\ndata: c\n\n"}), (Lines{"|a\nb\n\nc|"}));
}

TEST(Sse, KeepsTypeForOneEventAndIdForAll) {
  EXPECT_EQ(read_in_pieces({"event: error\nid: 7\ndata: x\n\ndata: y\n\n"}),
            (Lines{"error|x|7", "|y|7"}));
}

TEST(Sse, IgnoresAnIdWithNul) {
  const std::string bytes("id: a\0b\ndata: x\n\n", 16);
  EXPECT_EQ(read_in_pieces({bytes}), (Lines{"|x|"}));
}

TEST(Sse, IgnoresCommentsUnknownFieldsAndEventsWithoutData) {
  EXPECT_EQ(read_in_pieces({": keep-alive\n\nretry: 5\nfoo: bar\n\nevent: ping\n\ndata: x\n\n"}),
            (Lines{"|x|"}));
}

TEST(Sse, AnEmptyDataLineIsAnEvent) {
  EXPECT_EQ(read_in_pieces({"data:\n\n"}), (Lines{"||"}));
}

TEST(Sse, AcceptsEveryLineEnd) {
  const Lines expected{"|a\nb|", "|c|"};
  EXPECT_EQ(read_in_pieces({"data: a\ndata: b\n\ndata: c\n\n"}), expected);
  EXPECT_EQ(read_in_pieces({"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n"}), expected);
  EXPECT_EQ(read_in_pieces({"data: a\rdata: b\r\rdata: c\r\r"}), expected);
}

TEST(Sse, SkipsOneByteOrderMarkAtTheStart) {
  EXPECT_EQ(read_in_pieces({"\xEF\xBB\xBF"
                            "data: a\n\n"}),
            (Lines{"|a|"}));
  EXPECT_EQ(read_in_pieces({"data: a\n\n\xEF\xBB\xBF"
                            "data: b\n\n"}),
            (Lines{"|a|"}));
}

TEST(Sse, FinishDeliversAnEventWithoutItsBlankLine) {
  EXPECT_EQ(read_in_pieces({"data: a\n"}), (Lines{"|a|"}));
  EXPECT_EQ(read_in_pieces({"data: [DONE]"}), (Lines{"|[DONE]|"}));
  EXPECT_EQ(read_in_pieces({"data: a\n\n"}), (Lines{"|a|"}));
  EXPECT_EQ(read_in_pieces({""}), Lines{});
}

const std::string kMixed =
    "\xEF\xBB\xBF: hello\r\nevent: one\r\ndata: a\r\rdata: \xE2\x82\xAC\n\r\n"
    "id: 4\ndata:x\r\ndata:\r\ndata: y\n\n\n\r\r\n: bye\ndata: last";

TEST(Sse, EverySplitGivesTheSameEvents) {
  const Lines expected = read_in_pieces({kMixed});
  ASSERT_EQ(expected, (Lines{"one|a|", "|\xE2\x82\xAC|", "|x\n\ny|4", "|last|4"}));
  for (std::size_t at = 0; at <= kMixed.size(); ++at)
    ASSERT_EQ(read_in_pieces({kMixed.substr(0, at), kMixed.substr(at)}), expected) << "at " << at;
  Lines bytes;
  for (const char c : kMixed)
    bytes.emplace_back(1, c);
  EXPECT_EQ(read_in_pieces(bytes), expected);
}

TEST(Sse, RefusesALineThatIsTooLarge) {
  SseReader reader(1000);
  std::vector<SseEvent> events;
  EXPECT_TRUE(reader.feed("data: " + std::string(994, 'x'), events));
  EXPECT_FALSE(reader.feed("x", events));
  EXPECT_FALSE(reader.feed("\n\ndata: small\n\n", events));
  EXPECT_TRUE(events.empty());
  EXPECT_FALSE(reader.finish().has_value());
}

TEST(Sse, RefusesAnEventOfManyLinesThatIsTooLarge) {
  SseReader reader(1000);
  std::vector<SseEvent> events;
  bool readable = true;
  int lines = 0;
  for (; readable && lines < 1000; ++lines)
    readable = reader.feed("data: 123456789\n", events);
  EXPECT_FALSE(readable);
  EXPECT_EQ(lines, 101);
  EXPECT_TRUE(events.empty());
}

TEST(Sse, ManyCommentsDoNotCount) {
  SseReader reader(100);
  std::vector<SseEvent> events;
  for (int i = 0; i < 1000; ++i)
    ASSERT_TRUE(reader.feed(": keep-alive\n", events));
  EXPECT_TRUE(reader.feed("data: x\n\n", events));
  EXPECT_EQ(events.size(), 1U);
}

TEST(Sse, TakesTenMegabytesByteByByteInOneLine) {
  SseReader reader(16U << 20U);
  std::vector<SseEvent> events;
  const std::string data(10U << 20U, 'x');
  ASSERT_TRUE(reader.feed("data: ", events));
  for (const char c : data)
    ASSERT_TRUE(reader.feed({&c, 1}, events));
  ASSERT_TRUE(reader.feed("\n\n", events));
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events.front().data, data);
}

TEST(Sse, AnyBytesAreSafe) {
  const unsigned seed = std::random_device{}();
  std::mt19937 random(seed);
  const std::string alphabet = std::string("data:event \r\n\xEF\xBB\xBF[]id") + '\0';
  for (int round = 0; round < 2000; ++round) {
    std::string bytes;
    for (std::size_t i = random() % 200; i > 0; --i)
      bytes.push_back(alphabet[random() % alphabet.size()]);
    const std::size_t at = random() % (bytes.size() + 1);
    ASSERT_EQ(read_in_pieces({bytes}), read_in_pieces({bytes.substr(0, at), bytes.substr(at)}))
        << "seed " << seed << " round " << round;
  }
}

} // namespace
} // namespace holdfast
