-- What the seven steps of the graph `intent` are: where they begin and end, and the definitions that do them.

CREATE FUNCTION intent_steps(OUT step text, OUT place integer, OUT from_state text, OUT work_states text[],
                             OUT end_states text[], OUT definition jsonb)
    RETURNS SETOF record
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $steps$
    SELECT s.step, s.place, s.from_state,
           CASE WHEN s.stage <> 'SEED_REVIEW' THEN ARRAY[s.stage || '_PENDING', s.stage || '_PROCESSING'] ELSE '{}' END,
           CASE s.stage WHEN 'SEED_REVIEW' THEN '{SEED_REVIEW_PENDING}'
                        WHEN 'PUBLISH' THEN '{PUBLISH_COMPLETED,COMPLETED}'
                        ELSE ARRAY[s.stage || '_COMPLETED'] END,
           s.definition::jsonb || jsonb_build_object('name', 'intent/' || s.step, 'version', '1')
    FROM (VALUES
    ('icp-generate', 1, 'CREATED', 'ICP', $def$ {
      "steps": [{
        "id": "profile", "provider": "perplexity", "model": "sonar", "fallback": [{"model": "gpt-4o-mini"}],
        "retry": {"maxAttempts": 2, "delayMs": 1000},
        "input": {
          "maxTokens": 700, "temperature": 0.3,
          "systemPrompt": "You are a B2B market strategist. You build ideal customer profiles from evidence: what the business sells, who buys such things today, and why. You do not flatter, and you do not invent figures.",
          "prompt": "Build the ideal customer profile of the business below: the one kind of customer that gains most from it, buys soonest and stays longest.\n\nBusiness:\n{{input.business}}\n\nWebsite: {{input.website}}\nAudience so far: {{input.audience}}\nMarket: {{input.market}}\nFurther instructions: {{input.instructions}}\n\nTake what is not given from what such businesses usually are, and stay with what the text supports. Say in each list what is particular to this customer, the most important first: no item that would fit any company. Write in {{input.language}}.\n- summary: two or three sentences that a salesperson could read aloud.\n- roles: the job titles that decide or are asked.\n- triggers: events after which they begin to look for this.\n- objections: why they hesitate.\nKeep each item below fifteen words and the whole below 400 words."},
        "schema": {
          "type": "object", "additionalProperties": false,
          "required": ["summary", "industries", "companySize", "roles", "goals", "pains", "triggers", "objections"],
          "properties": {
            "summary": {"type": "string", "minLength": 1, "maxLength": 1200},
            "industries": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
            "companySize": {"type": "string", "minLength": 1, "maxLength": 200},
            "roles": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
            "goals": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}},
            "pains": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}},
            "triggers": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}},
            "objections": {"type": "array", "minItems": 1, "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}}}}}],
      "settings": {"maxTotalCost": 0.10, "timeout": 180000}} $def$),
    ('competitor-analyze', 2, 'ICP_COMPLETED', 'COMPETITOR', $def$ {
      "steps": [{
        "id": "competitors", "provider": "perplexity", "model": "sonar", "fallback": [{"model": "gpt-4o-mini"}],
        "retry": {"maxAttempts": 2, "delayMs": 1000},
        "input": {
          "maxTokens": 1500, "temperature": 0.2,
          "systemPrompt": "You are a competitive analyst for content marketing. You name real companies only, and say less rather than guess.",
          "prompt": "Find who competes with the business below for the attention of its ideal customer in search, and where their content leaves room.\n\nBusiness:\n{{input.business}}\n\nWebsite: {{input.website}}\nMarket: {{input.market}}\nIdeal customer profile (JSON):\n{{input.icp}}\nFurther instructions: {{input.instructions}}\n\nWrite in {{input.language}}.\n- competitors: three to eight companies or publications that this customer would compare with, the closest first. Give the website's domain without a path, or an empty text when you are not sure of it. topics: what their content ranks for or is known for. strengths and weaknesses: of their content, as this customer sees it.\n- gaps: questions of this customer that none of them answers well; each a subject one could write about, not advice."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["competitors", "gaps"],
          "properties": {
            "competitors": {"type": "array", "minItems": 1, "maxItems": 10, "items": {
              "type": "object", "additionalProperties": false, "required": ["name", "website", "topics", "strengths", "weaknesses"],
              "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 200},
                "website": {"type": "string", "maxLength": 255},
                "topics": {"type": "array", "maxItems": 10, "items": {"type": "string", "minLength": 1, "maxLength": 200}},
                "strengths": {"type": "array", "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}},
                "weaknesses": {"type": "array", "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}}}}},
            "gaps": {"type": "array", "minItems": 1, "maxItems": 15, "items": {"type": "string", "minLength": 1, "maxLength": 300}}}}}],
      "settings": {"maxTotalCost": 0.10, "timeout": 180000}} $def$),
    ('seed-extract', 3, 'COMPETITOR_COMPLETED', 'SEED_REVIEW', $def$ {
      "steps": [{
        "id": "seeds", "retry": {"maxAttempts": 3, "delayMs": 1000},
        "input": {
          "maxTokens": 2000, "temperature": 0.4,
          "systemPrompt": "You are a search strategist. You think in the words that customers type, not in those that companies use of themselves.",
          "prompt": "Extract seed keywords: the phrases from which the content plan of the business below is to grow.\n\nBusiness:\n{{input.business}}\n\nIdeal customer profile (JSON):\n{{input.icp}}\n\nCompetitors and gaps (JSON):\n{{input.competitors}}\nFurther instructions: {{input.instructions}}\n\nGive fifteen to forty phrases of one to five words in {{input.language}}, in lower case unless a name demands otherwise, each once, without brands other than the business's own. Cover the customer's pains, goals and triggers, and the gaps of the competitors.\n- intent: informational (wants to know), commercial (compares), transactional (wants to act), navigational (looks for one place).\n- reason: in at most fifteen words, which pain, goal, trigger or gap it comes from."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["keywords"],
          "properties": {
            "keywords": {"type": "array", "minItems": 5, "maxItems": 60, "items": {
              "type": "object", "additionalProperties": false, "required": ["keyword", "intent", "reason"],
              "properties": {
                "keyword": {"type": "string", "minLength": 1, "maxLength": 100},
                "intent": {"enum": ["informational", "commercial", "transactional", "navigational"]},
                "reason": {"type": "string", "maxLength": 300}}}}}}}],
      "settings": {"maxTotalCost": 0.10, "timeout": 180000}} $def$),
    ('cluster', 4, 'SEED_REVIEW_COMPLETED', 'CLUSTERING', $def$ {
      "steps": [{
        "id": "clusters", "retry": {"maxAttempts": 3, "delayMs": 1000},
        "input": {
          "maxTokens": 2500, "temperature": 0.2,
          "systemPrompt": "You are an information architect for search. Two phrases belong together when one page would satisfy both, and only then.",
          "prompt": "Group the reviewed keywords below into clusters, one page to each.\n\nKeywords (JSON), as a person approved them; use each exactly once, spelt as here, and add none:\n{{input.keywords}}\n\nBusiness:\n{{input.business}}\n\nIdeal customer profile (JSON):\n{{input.icp}}\nFurther instructions: {{input.instructions}}\n\nWrite in {{input.language}}.\n- name: what the page would be called in a menu.\n- primaryKeyword: the one of its keywords that the page should be found for first.\n- intent: what most of its searchers want.\n- angle: in one sentence, what this page says that competitors' pages do not.\n- priority: 1 for the cluster to write first; each number once."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["clusters"],
          "properties": {
            "clusters": {"type": "array", "minItems": 1, "maxItems": 30, "items": {
              "type": "object", "additionalProperties": false,
              "required": ["name", "primaryKeyword", "keywords", "intent", "angle", "priority"],
              "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 200},
                "primaryKeyword": {"type": "string", "minLength": 1, "maxLength": 100},
                "keywords": {"type": "array", "minItems": 1, "maxItems": 60, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
                "intent": {"enum": ["informational", "commercial", "transactional", "navigational"]},
                "angle": {"type": "string", "minLength": 1, "maxLength": 500},
                "priority": {"type": "integer", "minimum": 1, "maximum": 30}}}}}}}],
      "settings": {"maxTotalCost": 0.10, "timeout": 180000}} $def$),
    ('validate', 5, 'CLUSTERING_COMPLETED', 'VALIDATION', $def$ {
      "steps": [{
        "id": "validation", "retry": {"maxAttempts": 3, "delayMs": 1000},
        "input": {
          "maxTokens": 1800, "temperature": 0,
          "systemPrompt": "You are a sceptical editor. You let a page be written only when a reader would miss it. You judge each cluster by itself and by the same measure.",
          "prompt": "Judge the keyword clusters below before anything is written for them, and choose the one to write first.\n\nClusters (JSON):\n{{input.clusters}}\n\nIdeal customer profile (JSON):\n{{input.icp}}\n\nCompetitors and gaps (JSON):\n{{input.competitors}}\nFurther instructions: {{input.instructions}}\n\nWrite in {{input.language}}.\n- verdicts: one for each cluster, by its name as it stands there. relevance: how much the page matters to this customer; difficulty: how hard it is to be found for it against these competitors; both 0 to 100. approved: whether it is worth writing. issues: what is wrong with the cluster: mixed intents, overlap with another, a claim the business cannot keep; empty when nothing is.\n- chosen: the name of the approved cluster to write first; of several the one with most relevance for its difficulty.\n- reason: in at most two sentences, why that one."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["verdicts", "chosen", "reason"],
          "properties": {
            "verdicts": {"type": "array", "minItems": 1, "maxItems": 30, "items": {
              "type": "object", "additionalProperties": false, "required": ["cluster", "approved", "relevance", "difficulty", "issues"],
              "properties": {
                "cluster": {"type": "string", "minLength": 1, "maxLength": 200},
                "approved": {"type": "boolean"},
                "relevance": {"type": "integer", "minimum": 0, "maximum": 100},
                "difficulty": {"type": "integer", "minimum": 0, "maximum": 100},
                "issues": {"type": "array", "maxItems": 6, "items": {"type": "string", "minLength": 1, "maxLength": 300}}}}},
            "chosen": {"type": "string", "minLength": 1, "maxLength": 200},
            "reason": {"type": "string", "minLength": 1, "maxLength": 600}}}}],
      "settings": {"maxTotalCost": 0.10, "timeout": 180000}} $def$),
    ('article', 6, 'VALIDATION_COMPLETED', 'ARTICLE', $def$ {
      "steps": [{
        "id": "outline", "retry": {"maxAttempts": 3, "delayMs": 1000}, "onSuccess": "draft",
        "input": {
          "maxTokens": 1500, "temperature": 0.4,
          "systemPrompt": "You are an editor who plans articles so that a busy reader finds the answer first and the depth after it.",
          "prompt": "Plan one article.\n\nCluster to write for: {{input.cluster}}\nAll clusters (JSON):\n{{input.clusters}}\n\nWhat the review of the clusters said (JSON):\n{{input.validation}}\n\nReader, as an ideal customer profile (JSON):\n{{input.icp}}\n\nWhat competitors offer, and their gaps (JSON):\n{{input.competitors}}\n\nPublisher:\n{{input.business}}\nFurther instructions: {{input.instructions}}\n\nWrite in {{input.language}}.\n- title: at most 70 characters, with the primary keyword where it reads naturally.\n- promise: in one sentence, what the reader can do after reading.\n- sections: four to eight, in reading order. heading: a statement or a question of the reader's, no label. points: what the section shows, each in one sentence, concrete enough to be checked. keywords: those of the cluster that belong here.\n- questions: what readers ask next, for a short list of answers at the end."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["title", "promise", "sections", "questions"],
          "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 120},
            "promise": {"type": "string", "minLength": 1, "maxLength": 400},
            "sections": {"type": "array", "minItems": 3, "maxItems": 10, "items": {
              "type": "object", "additionalProperties": false, "required": ["heading", "points", "keywords"],
              "properties": {
                "heading": {"type": "string", "minLength": 1, "maxLength": 200},
                "points": {"type": "array", "minItems": 1, "maxItems": 8, "items": {"type": "string", "minLength": 1, "maxLength": 400}},
                "keywords": {"type": "array", "maxItems": 10, "items": {"type": "string", "minLength": 1, "maxLength": 100}}}}},
            "questions": {"type": "array", "maxItems": 8, "items": {"type": "string", "minLength": 1, "maxLength": 300}}}}
      }, {
        "id": "draft", "retry": {"maxAttempts": 3, "delayMs": 1000},
        "input": {
          "maxTokens": 6000, "temperature": 0.6,
          "systemPrompt": "You are a writer for readers who know their trade. You write plain, exact prose: short sentences, active verbs, one thought to a paragraph, no filler, no hype, no figure or quotation that you were not given.",
          "prompt": "Write the article that this outline plans (JSON):\n{{outline.output}}\n\nReader, as an ideal customer profile (JSON):\n{{input.icp}}\n\nPublisher, to be named at most twice and never praised:\n{{input.business}}\nFurther instructions: {{input.instructions}}\n\nWrite in {{input.language}}.\n- body: Markdown, 900 to 1800 words, without the title. Begin with the answer. Every section of the outline becomes a level-two heading with its points in prose; lists only where the reader would tick things off. End with the outline's questions as level-three headings, each answered in two or three sentences.\n- slug: lower-case words of the title joined by hyphens.\n- metaDescription: at most 155 characters, says what the reader gets.\n- excerpt: two sentences for a list of articles.\n- keywords: those that the text really uses, the primary one first."},
        "schema": {
          "type": "object", "additionalProperties": false, "required": ["title", "slug", "metaDescription", "excerpt", "keywords", "body"],
          "properties": {
            "title": {"type": "string", "minLength": 1, "maxLength": 120},
            "slug": {"type": "string", "minLength": 1, "maxLength": 120},
            "metaDescription": {"type": "string", "minLength": 1, "maxLength": 300},
            "excerpt": {"type": "string", "minLength": 1, "maxLength": 600},
            "keywords": {"type": "array", "minItems": 1, "maxItems": 30, "items": {"type": "string", "minLength": 1, "maxLength": 100}},
            "body": {"type": "string", "minLength": 200}}}}],
      "settings": {"maxTotalCost": 0.20, "timeout": 300000}} $def$),
    ('publish', 7, 'ARTICLE_COMPLETED', 'PUBLISH', $def$ {
      "steps": [{
        "id": "delivery", "action": "deliver", "retry": {"maxAttempts": 5, "delayMs": 1000},
        "input": {"document": {
          "event": "article.published", "workflowId": "{{input.workflowId}}", "article": "{{input.article}}"}}}],
      "settings": {"maxTotalCost": 0, "timeout": 240000}} $def$)
    ) s(step, place, from_state, stage, definition)
$steps$;
COMMENT ON FUNCTION intent_steps() IS
'The steps of the graph intent in their order: the state that each begins from, the states in which it waits and is worked on (none: it is worked on in from_state), the states that it ends in, and the definition that does it. The result of a step is what the last step of its definition answers.';
