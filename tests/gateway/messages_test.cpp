// Anthropic's messages JSON, inward: what only a stream of another provider's can bring.
#include "gateway/anthropic_format.hpp"
#include "gateway/bounded_json.hpp"

#include <gtest/gtest.h>

namespace holdfast::anthropic_format {
namespace {

using nlohmann::json;

StreamEvent call_event(std::vector<ChatDelta::ToolCallPiece> pieces) {
  StreamEvent event;
  ChatDelta delta;
  delta.tool_calls = std::move(pieces);
  event.deltas.push_back(std::move(delta));
  return event;
}

// The blocks of a stream: each content_block_start with what its deltas add, in order. Fails when
// events do not follow each other as Anthropic's do.
std::vector<json> blocks_of(const std::string& stream) {
  std::vector<json> blocks;
  bool open = false;
  for (std::size_t at = 0; (at = stream.find("data: ", at)) != std::string::npos;) {
    const std::size_t end = stream.find("\n\n", at);
    const json event = json::parse(stream.substr(at + 6, end - at - 6));
    at = end;
    const std::string type = event["type"];
    if (type == "content_block_start") {
      EXPECT_FALSE(open);
      EXPECT_EQ(event["index"], blocks.size());
      blocks.push_back(event["content_block"]);
      blocks.back()["json"] = "";
      open = true;
    } else if (type == "content_block_delta") {
      EXPECT_TRUE(open);
      EXPECT_EQ(event["index"].get<std::size_t>() + 1, blocks.size());
      const json& delta = event["delta"];
      if (delta["type"] == "input_json_delta")
        blocks.back()["json"] =
            blocks.back()["json"].get<std::string>() + delta["partial_json"].get<std::string>();
    } else if (type == "content_block_stop") {
      EXPECT_TRUE(open);
      open = false;
    }
  }
  EXPECT_FALSE(open);
  return blocks;
}

TEST(MessagesStream, ToolCallsInTurnAreBlocksInTurn) {
  EventWriter writer("msg_1", "m");
  std::string stream = writer.deltas(call_event({{0, "a", "first", "{\"x\":"}}));
  stream += writer.deltas(call_event({{0, "", "", "1}"}}));
  stream += writer.deltas(call_event({{1, "b", "second", "{}"}}));
  stream += writer.finish();
  const auto blocks = blocks_of(stream);
  ASSERT_EQ(blocks.size(), 2U);
  EXPECT_EQ(blocks[0]["id"], "a");
  EXPECT_EQ(blocks[0]["json"], "{\"x\":1}");
  EXPECT_EQ(blocks[1]["name"], "second");
  EXPECT_EQ(blocks[1]["json"], "{}");
}

TEST(MessagesStream, PiecesOfSeveralCallsAtOnceStillMakeWholeBlocks) {
  EventWriter writer("msg_1", "m");
  std::string stream = writer.deltas(call_event({{0, "a", "first", "{\"x\":"}}));
  stream += writer.deltas(call_event({{1, "b", "second", "{\"y\":"}, {0, "", "", "1}"}}));
  stream += writer.deltas(call_event({{1, "", "", "2}"}, {2, "c", "third", "{}"}}));
  stream += writer.finish();
  const auto blocks = blocks_of(stream);
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(blocks[0]["json"], "{\"x\":1}");
  EXPECT_EQ(blocks[1]["id"], "b");
  EXPECT_EQ(blocks[1]["json"], "{\"y\":2}");
  EXPECT_EQ(blocks[2]["json"], "{}");
}

TEST(MessagesStream, AStreamThatSaysNothingStillBegins) {
  EventWriter writer("msg_1", "m");
  const std::string stream = writer.deltas({}) + writer.finish();
  EXPECT_EQ(stream.rfind("event: message_start\n", 0), 0U);
  EXPECT_TRUE(blocks_of(stream).empty());
}

TEST(MessagesRequest, DocumentsOfTextAndImagesOfResultsAreKept) {
  const json body =
      json::parse(R"({"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": [
    {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}},
    {"type": "tool_result", "tool_use_id": "t", "content": [
      {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}}]}]}]})");
  const auto parsed = parse_client_request(body, {});
  const auto* chat = std::get_if<ChatRequest>(&parsed);
  ASSERT_NE(chat, nullptr) << std::get<RequestError>(parsed).message;
  ASSERT_EQ(chat->messages.size(), 2U);
  EXPECT_EQ(chat->messages[0].role, "tool");
  ASSERT_EQ(chat->messages[1].parts.size(), 2U);
  EXPECT_EQ(chat->messages[1].parts[0].text, "A page.");
  EXPECT_EQ(chat->messages[1].parts[1].text, "data:image/png;base64,QUJD");
}

} // namespace
} // namespace holdfast::anthropic_format
